"""The master key's file while it changes: a Tink JSON keyset to which a key comes, and one goes.

The format is Tink's own (google.crypto.tink.Keyset as JSON, https://developers.google.com/tink).
One key of a keyset, the primary one, seals; all of them open. The first five bytes of what is
sealed name the key (https://developers.google.com/tink/wire-format).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pullpass.sealing import master_key
from pullpass.sealing.master_key import MasterKeyError

_TINK_PREFIX = b"\x01"


@dataclass(frozen=True, slots=True)
class KeysetFile:
    """A keyset as read from its file. Changing it gives another one; :meth:`save` writes it."""

    path: Path
    _keyset: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> KeysetFile:
        """Raises MasterKeyError where there is no such file, or no keyset in it."""
        if master_key.read_file(path) is None:
            raise MasterKeyError(f"There is no master key file {path}.")
        return cls(path, json.loads(master_key.decode(path.read_text())))

    def __repr__(self) -> str:
        return f"KeysetFile({self.path})"

    @property
    def primary(self) -> int:
        """The id of the key that seals."""
        return int(self._keyset["primaryKeyId"])

    @property
    def ids(self) -> list[int]:
        """The ids of all keys, in the order that they came in."""
        return [int(key["keyId"]) for key in self._keyset["key"]]

    @property
    def newest(self) -> int:
        return self.ids[-1]

    def with_new_key(self) -> KeysetFile:
        """With one more key, which opens and does not seal yet."""
        fresh = json.loads(master_key.generate())
        while fresh["primaryKeyId"] in self.ids:
            fresh = json.loads(master_key.generate())
        return KeysetFile(self.path, {**self._keyset, "key": self._keyset["key"] + fresh["key"]})

    def promoted(self) -> KeysetFile:
        """With the newest key as the one that seals."""
        return KeysetFile(self.path, {**self._keyset, "primaryKeyId": self.newest})

    def alone(self) -> KeysetFile:
        """With nothing but the primary key."""
        keys = [key for key in self._keyset["key"] if int(key["keyId"]) == self.primary]
        return KeysetFile(self.path, {**self._keyset, "key": keys})

    def save(self) -> None:
        """Replace the file, at once and durably (mode 0600).

        Raises:
            MasterKeyError: it cannot be written; the one before is there unchanged.
        """
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w") as file:
                json.dump(self._keyset, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise MasterKeyError(
                f"The master key file {self.path} cannot be written: {error.strerror}."
            ) from None
        finally:
            fresh.unlink(missing_ok=True)


def sealed_by(wrapped: bytes) -> int | None:
    """The id of the key that something was wrapped with; None where it does not say."""
    if wrapped[:1] != _TINK_PREFIX or len(wrapped) < 5:
        return None
    return int.from_bytes(wrapped[1:5], "big")
