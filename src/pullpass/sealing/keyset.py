"""The master key as a keyset: to which a key comes, and from which one goes, while it changes.

The format is Tink's own (google.crypto.tink.Keyset as JSON, https://developers.google.com/tink).
One key of a keyset, the primary one, seals; all of them open. The first five bytes of what is
sealed name the key (https://developers.google.com/tink/wire-format).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pullpass.sealing import master_key
from pullpass.sealing.master_key import LocalMasterKey

_TINK_PREFIX = b"\x01"


@dataclass(frozen=True, slots=True)
class Keyset:
    """A master key in clear. Changing it gives another one."""

    _fields: dict[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, text: str, source: str) -> Keyset:
        """The keyset in ``text``, as :func:`master_key.parse` takes it.

        Raises:
            MasterKeyError: there is none in it; names ``source``, never the text.
        """
        master_key.parse(text, source)
        return cls(json.loads(master_key.decode(text)))

    @classmethod
    def generate(cls) -> Keyset:
        """A new one, of one key."""
        return cls(json.loads(master_key.generate()))

    @property
    def text(self) -> str:
        """Secret: what :meth:`parse` takes."""
        return json.dumps(self._fields)

    @property
    def key(self) -> LocalMasterKey:
        return master_key.parse(self.text, "The keyset")

    @property
    def primary(self) -> int:
        """The id of the key that seals."""
        return int(self._fields["primaryKeyId"])

    @property
    def ids(self) -> list[int]:
        """The ids of all keys, in the order that they came in."""
        return [int(key["keyId"]) for key in self._fields["key"]]

    @property
    def newest(self) -> int:
        return self.ids[-1]

    def with_new_key(self) -> Keyset:
        """With one more key, which opens and does not seal yet."""
        fresh = json.loads(master_key.generate())
        while fresh["primaryKeyId"] in self.ids:
            fresh = json.loads(master_key.generate())
        return Keyset({**self._fields, "key": self._fields["key"] + fresh["key"]})

    def promoted(self) -> Keyset:
        """With the newest key as the one that seals."""
        return Keyset({**self._fields, "primaryKeyId": self.newest})

    def alone(self) -> Keyset:
        """With nothing but the primary key."""
        keys = [key for key in self._fields["key"] if int(key["keyId"]) == self.primary]
        return Keyset({**self._fields, "key": keys})


def sealed_by(wrapped: bytes) -> int | None:
    """The id of the key that something was wrapped with; None where it does not say."""
    if wrapped[:1] != _TINK_PREFIX or len(wrapped) < 5:
        return None
    return int.from_bytes(wrapped[1:5], "big")
