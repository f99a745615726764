"""What came of trying a record's credential at the live registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ProbeCode(StrEnum):
    """``ok``, or the first thing that went wrong. Stable across releases."""

    OK = "ok"
    NAME_RESOLUTION = "name_resolution"
    CONNECT = "connect"
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    ADDRESS_REFUSED = "address_refused"
    PROTOCOL = "protocol"
    NO_CREDENTIAL = "no_credential"
    EXCHANGE_FAILED = "exchange_failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a probe and the whole milliseconds that it took."""

    name: str
    ok: bool
    milliseconds: int
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """``message`` is one sentence or two that a person can act on; it never holds a secret.

    ``steps`` are in the order in which they were taken. One that failed and was made up for, such
    as TLS with a registry on loopback that speaks plain HTTP, does not make the whole fail.
    """

    code: ProbeCode
    message: str
    steps: tuple[Step, ...] = ()

    @property
    def ok(self) -> bool:
        return self.code is ProbeCode.OK


@dataclass(frozen=True, slots=True)
class Status:
    """What the last check of a record came to. ``since``: the first of the checks in a row that
    came to the same, that it works or that it does not.
    """

    code: ProbeCode
    message: str
    checked_at: datetime
    since: datetime

    @property
    def ok(self) -> bool:
        return self.code is ProbeCode.OK


@dataclass(frozen=True, slots=True)
class CheckRun:
    """Checks of a record in a row that came to the same: the first was at ``began_at``, the last
    one so far at ``ended_at``.
    """

    code: ProbeCode
    began_at: datetime
    ended_at: datetime
    checks: int

    @property
    def ok(self) -> bool:
        return self.code is ProbeCode.OK
