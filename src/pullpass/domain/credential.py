"""Credentials as values whose secret part never prints itself."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn


class Secret:
    """A string that shows itself only to :meth:`reveal`.

    ``repr``, ``str``, formatting and logging give ``Secret(***)``; pickling is refused;
    equality takes constant time.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


@dataclass(frozen=True, slots=True)
class Credential:
    """A username and password, either stored (long-lived) or issued (short-lived).

    ``expires`` is an aware UTC time, or None where the credential has no known end.
    """

    username: str
    password: Secret
    expires: datetime | None = None

    def usable_for(self, now: datetime, life: timedelta) -> bool:
        """Whether at least ``life`` is left at ``now`` (always, without an expiry)."""
        return self.expires is None or self.expires - now >= life
