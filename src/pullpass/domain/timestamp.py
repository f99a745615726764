"""Timestamps as they stand on the wire: ``YYYY-MM-DDTHH:MM:SS.mmmZ``, always UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# The reference document's pattern for every timestamp.
PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$"
EXPECTED = "a UTC time like 2030-01-31T12:00:00Z or 2030-01-31T12:00:00.000Z"
_SHAPE = re.compile(PATTERN[1:-1])


def parse(text: str) -> datetime:
    """An aware UTC time.

    Raises:
        ValueError: not of the pattern, or no such day or hour.
    """
    if _SHAPE.fullmatch(text) is None:
        raise ValueError("not a timestamp")
    return datetime.fromisoformat(text)


def render(moment: datetime) -> str:
    """``moment`` (aware) in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def whole_milliseconds(moment: datetime) -> datetime:
    """``moment`` cut to what the wire can hold, so that a value read back is equal."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
