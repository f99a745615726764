"""The master key in the database, wrapped by a key that never leaves a key management service.

Envelope encryption with one more layer: the service's key wraps the master key's keyset, that
wraps the data keys, those seal. So the service is asked when a process starts and when the keyset
changes, and for no request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from pullpass.domain.errors import ExchangeFailed, ExchangeRejected, Unavailable
from pullpass.sealing.keyset import Keyset
from pullpass.sealing.master_key import MasterKeyError

DEPLOYMENT_SETTING = "deployment"
_T = TypeVar("_T")


class MasterKeyUnavailable(Unavailable):
    """The service whose key wraps the master key cannot be asked now."""

    default_code = "master_key_unavailable"


class RemoteKey(Protocol):
    """A key in a service. ``deployment`` is whose master key it is: what was wrapped for one must
    not open for another, as far as the service can see to that.

    All raise:
        ExchangeRejected: the service refuses; trying again does not help.
        ExchangeFailed: it cannot be asked now.
    """

    @property
    def uri(self) -> str: ...

    async def wrap(self, plain: bytes, deployment: str) -> bytes: ...

    async def unwrap(self, wrapped: bytes, deployment: str) -> bytes: ...

    async def rewrap(self, wrapped: bytes, deployment: str) -> bytes:
        """The same, wrapped by the newest version of the key; nothing in clear comes here."""
        ...


class WrappedKeysets(Protocol):
    """Small values in the database; the first one put under a name stays until replaced."""

    async def setting(self, name: str) -> bytes | None: ...

    async def put_setting_once(self, name: str, value: bytes) -> bytes: ...

    async def replace_setting(self, name: str, before: bytes, after: bytes) -> bool: ...


class WrappedHome:
    """A KeyHome in the database. Each remote key has a place of its own there, so that servers
    with the old one and with the new one can both start while the master key is moved.
    """

    def __init__(self, remote: RemoteKey, store: WrappedKeysets) -> None:
        self._remote = remote
        self._store = store
        self._name = "master_keyset/" + hashlib.sha256(remote.uri.encode()).hexdigest()[:32]
        self._read: tuple[bytes, Keyset] | None = None

    @property
    def where(self) -> str:
        return f"the database, wrapped by {self._remote.uri}"

    async def read(self) -> Keyset | None:
        wrapped = await self._store.setting(self._name)
        if wrapped is None:
            return None
        if self._read is None or self._read[0] != wrapped:
            self._read = wrapped, await self._unwrapped(wrapped)
        return self._read[1]

    async def create(self) -> Keyset:
        await self._store.put_setting_once(self._name, await self._wrapped(Keyset.generate()))
        keyset = await self.read()
        if keyset is None:
            raise self._changed()
        return keyset

    async def save(self, keyset: Keyset) -> None:
        # What was read, not what is there now: a change by another process must not get lost.
        before = None if self._read is None else self._read[0]
        after = await self._wrapped(keyset)
        if before is None:
            before = await self._store.put_setting_once(self._name, after)
        if before != after and not await self._store.replace_setting(self._name, before, after):
            raise self._changed()
        self._read = after, keyset

    async def rewrap(self) -> None:
        """Have the service wrap the keyset anew, by the newest version of its key.

        Raises: as :meth:`save`.
        """
        before = await self._store.setting(self._name)
        if before is None:
            raise MasterKeyError(f"There is no master key in {self.where}.")
        after = await self._asked(self._remote.rewrap(before, await self._deployment()))
        if not await self._store.replace_setting(self._name, before, after):
            raise self._changed()

    async def _wrapped(self, keyset: Keyset) -> bytes:
        deployment = await self._deployment()
        # In what is wrapped as well: not every service binds it to more than the key.
        plain = json.dumps({"deployment": deployment, "keyset": keyset.text}).encode()
        return await self._asked(self._remote.wrap(plain, deployment))

    async def _unwrapped(self, wrapped: bytes) -> Keyset:
        deployment = await self._deployment()
        plain = await self._asked(self._remote.unwrap(wrapped, deployment))
        try:
            fields = json.loads(plain)
            found, text = str(fields["deployment"]), str(fields["keyset"])
        except (ValueError, TypeError, KeyError):
            raise MasterKeyError(f"What is in {self.where} is no master key.") from None
        if not hmac.compare_digest(found.encode(), deployment.encode()):
            raise MasterKeyError(
                f"The master key in {self.where} is that of another deployment: its row was "
                "copied from another database. Restore this one from its own backup."
            )
        return Keyset.parse(text, f"What is in {self.where}")

    async def _deployment(self) -> str:
        value = await self._store.setting(DEPLOYMENT_SETTING)
        if value is None:
            fresh = uuid.uuid4().hex.encode()
            value = await self._store.put_setting_once(DEPLOYMENT_SETTING, fresh)
        return value.decode()

    async def _asked(self, answer: Awaitable[_T]) -> _T:
        try:
            return await answer
        except ExchangeRejected as error:
            raise MasterKeyError(error.message) from None
        except ExchangeFailed as error:
            raise MasterKeyUnavailable(error.message, retry_after=error.retry_after or 1) from None

    def _changed(self) -> MasterKeyError:
        return MasterKeyError(
            "The master key was changed by somebody else at the same time. Nothing was changed "
            "here: look with 'pullpass keys status', and run the command again."
        )
