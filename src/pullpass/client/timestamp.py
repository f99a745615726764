"""Times as they stand on the wire: ``YYYY-MM-DDTHH:MM:SS.mmmZ``, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from pullpass.client.errors import InvalidArgument


def render(moment: datetime) -> str:
    """An aware time in UTC, with milliseconds.

    Raises:
        InvalidArgument: the time has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidArgument("The time has no time zone; expected an aware time.")
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"
