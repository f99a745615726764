"""Where the master key is kept: in a file, or in the database, wrapped by a remote key."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pullpass.sealing import master_key
from pullpass.sealing.keyset import Keyset
from pullpass.sealing.master_key import MasterKeyError


class KeyHome(Protocol):
    """A place that the master key is read from and written to while servers run."""

    @property
    def where(self) -> str:
        """The place, in words for people: a path or the address of a key, nothing secret."""
        ...

    async def read(self) -> Keyset | None:
        """The keyset as it is now; None where there is none yet.

        Raises:
            MasterKeyError: it cannot be read, or is none.
            MasterKeyUnavailable: what wraps it cannot be asked now.
        """
        ...

    async def create(self) -> Keyset:
        """A new keyset, or the one that another process has put there meanwhile.

        Raises: as :meth:`save`.
        """
        ...

    async def save(self, keyset: Keyset) -> None:
        """Replace what was read, at once and durably.

        Raises:
            MasterKeyError: it cannot be written; the one before is there unchanged.
            MasterKeyUnavailable: what wraps it cannot be asked now.
        """
        ...


class HomeMasterKey:
    """A KeyWrapper by the keyset in its home, so that a rotated one needs no restart.

    Calls are rare: a data key is unwrapped once for each organization and process.
    """

    def __init__(self, home: KeyHome) -> None:
        self._home = home
        self._last: Keyset | None = None

    async def wrap(self, plain: bytes, context: bytes) -> bytes:
        return await (await self._read()).key.wrap(plain, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        # Whatever it is kept in may be away, and what it held before may be all that is needed.
        if self._last is not None:
            try:
                return await self._last.key.unwrap(wrapped, context)
            except MasterKeyError:
                pass
        return await (await self._read()).key.unwrap(wrapped, context)

    async def _read(self) -> Keyset:
        keyset = await self._home.read()
        if keyset is None:
            raise MasterKeyError(f"The master key is gone from {self._home.where}.")
        self._last = keyset
        return keyset


class FileHome:
    """A file that holds the keyset in clear, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        return str(self._path)

    async def read(self) -> Keyset | None:
        if master_key.read_file(self._path) is None:
            return None
        return Keyset.parse(self._path.read_text(), f"The master key file {self._path}")

    async def create(self) -> Keyset:
        master_key.create_file(self._path)
        keyset = await self.read()
        if keyset is None:
            raise MasterKeyError(f"The master key file {self._path} vanished.")
        return keyset

    async def save(self, keyset: Keyset) -> None:
        master_key.replace_file(self._path, keyset.text)
