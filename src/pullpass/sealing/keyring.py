"""Seals and opens credentials: one data key per organization, wrapped by the master key.

Every sealed value is authenticated together with its organization, its record and its field
(AES-256-GCM associated data), so that a row copied onto another does not open. The data key is
a Tink keyset and the sealed value names the key in it, so data keys can be rotated; rotating
the master key wraps the data keys anew and touches no sealed value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import tink
from tink import aead, proto_keyset_format, secret_key_access

from pullpass.domain.errors import PullpassError
from pullpass.sealing.master_key import KeyWrapper, MasterKeyError

_VERSION = b"\x01"
CHECK_SETTING = "master_key_check"
CHECK_CONTEXT = b"pullpass/master-key-check"
_CHECK_PLAIN = b"pullpass"


class SealBroken(PullpassError):
    """A sealed value does not open: altered, moved from another row, or sealed by another key."""

    default_code = "seal_broken"


class DataKeys(Protocol):
    """Where wrapped data keys are kept; the first one put for an organization stays."""

    async def data_key(self, organization: str) -> bytes | None: ...

    async def put_data_key_once(
        self, organization: str, wrapped: bytes, *, now: datetime
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value belongs."""

    organization: str
    record: str
    field: str

    def associated_data(self) -> bytes:
        # None of the parts can hold a NUL: ids are limited to letters, digits and hyphens.
        return "\0".join(("pullpass", self.organization, self.record, self.field)).encode()


class Keyring:
    """Seals and opens. Data keys are unwrapped once and kept in memory."""

    def __init__(self, wrapper: KeyWrapper, data_keys: DataKeys) -> None:
        aead.register()
        self._wrapper = wrapper
        self._data_keys = data_keys
        self._aeads: dict[str, aead.Aead] = {}

    async def seal(self, place: Place, plain: bytes, *, now: datetime) -> bytes:
        """``plain`` sealed for ``place``; makes the organization's data key where it has none."""
        cipher = await self._data_key(place.organization)
        if cipher is None:
            cipher = await self._new_data_key(place.organization, now)
        return _VERSION + bytes(cipher.encrypt(plain, place.associated_data()))

    async def open(self, place: Place, sealed: bytes) -> bytes:
        """What was sealed for ``place``.

        Raises:
            SealBroken: altered, sealed for another place, or by a key that is not here.
            MasterKeyError: the organization's data key does not unwrap.
        """
        cipher = await self._data_key(place.organization)
        if cipher is not None and sealed[:1] == _VERSION:
            try:
                return bytes(cipher.decrypt(sealed[1:], place.associated_data()))
            except tink.TinkError:
                pass
        raise SealBroken(
            f"The stored {place.field} of '{place.record}' does not open: the row was altered, "
            "or it was sealed for another record or with another key."
        )

    async def _data_key(self, organization: str) -> aead.Aead | None:
        cipher = self._aeads.get(organization)
        if cipher is None:
            wrapped = await self._data_keys.data_key(organization)
            if wrapped is None:
                return None
            cipher = await self._unwrap(organization, wrapped)
        return cipher

    async def _new_data_key(self, organization: str, now: datetime) -> aead.Aead:
        handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
        plain = proto_keyset_format.serialize(handle, secret_key_access.TOKEN)
        wrapped = await self._wrapper.wrap(bytes(plain), data_key_context(organization))
        kept = await self._data_keys.put_data_key_once(organization, wrapped, now=now)
        return await self._unwrap(organization, kept)

    async def _unwrap(self, organization: str, wrapped: bytes) -> aead.Aead:
        plain = await self._wrapper.unwrap(wrapped, data_key_context(organization))
        handle = proto_keyset_format.parse(plain, secret_key_access.TOKEN)
        cipher: aead.Aead = handle.primitive(aead.Aead)
        self._aeads[organization] = cipher
        return cipher


def data_key_context(organization: str) -> bytes:
    """What an organization's data key is wrapped for."""
    return f"pullpass/data-key/{organization}".encode()


async def new_check(wrapper: KeyWrapper) -> bytes:
    """A value that only the same master key opens; kept in the database under CHECK_SETTING."""
    return await wrapper.wrap(_CHECK_PLAIN, CHECK_CONTEXT)


async def verify(wrapper: KeyWrapper, check: bytes, source: str) -> None:
    """Raises MasterKeyError where ``wrapper`` is not the key that ``check`` was made with."""
    try:
        await wrapper.unwrap(check, CHECK_CONTEXT)
    except MasterKeyError:
        raise MasterKeyError(
            f"The master key from {source} is not the one that this database is sealed with. "
            "Nothing was changed. Give the key that was in use last or, for a restored backup, "
            "when that was taken."
        ) from None
