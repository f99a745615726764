"""The server's clock, in the precision of the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pullpass.domain.timestamp import whole_milliseconds

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now, in UTC, cut to milliseconds so that what is read back equals what was written."""
    return whole_milliseconds(datetime.now(UTC))
