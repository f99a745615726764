"""What a registry says of its rate limit, in the header fields that are in use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# RateLimit-Reset is in seconds from now (draft-ietf-httpapi-ratelimit-headers-03); X-RateLimit-
# Reset is most often a Unix time (GitHub, GitLab), as is Docker Hub's X-Retry-After.
_RESETS = ("retry-after", "ratelimit-reset", "x-ratelimit-reset", "x-retry-after")
# draft-ietf-httpapi-ratelimit-headers-10: RateLimit: "default";r=0;t=30
_RESET_PARAMETER = re.compile(r";\s*t=([0-9]{1,12})")
_REMAINING_PARAMETER = re.compile(r";\s*r=([0-9]{1,12})")
# Docker Hub: ratelimit-remaining: 0;w=21600 (https://docs.docker.com/docker-hub/usage/pulls/).
_REMAINING = re.compile(r"\s*([0-9]{1,12})\s*(?:;.*)?")
_SECONDS = re.compile(r"[0-9]{1,12}")
# No wait is this long (30 years), and no Unix time that anybody means is this small.
_EPOCH = 1_000_000_000


def reset_time(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When requests are taken again, as aware UTC time; None where it is not told or not said
    in a known way. ``headers`` is asked for names in lower case.
    """
    for name in _RESETS:
        if (found := _moment(headers.get(name, "").strip(), now)) is not None:
            return found
    parameter = _RESET_PARAMETER.search(headers.get("ratelimit", ""))
    return _moment(parameter[1], now) if parameter else None


def is_used_up(headers: Mapping[str, str]) -> bool:
    """Whether an answer that was still given says that the next one will be refused."""
    remaining = _REMAINING.fullmatch(headers.get("ratelimit-remaining", ""))
    remaining = remaining or _REMAINING_PARAMETER.search(headers.get("ratelimit", ""))
    return remaining is not None and int(remaining[1]) == 0


def _moment(text: str, now: datetime) -> datetime | None:
    try:
        if _SECONDS.fullmatch(text):
            seconds = int(text)
            if seconds >= _EPOCH:
                return datetime.fromtimestamp(seconds, UTC)
            return now + timedelta(seconds=seconds)
        if not text:
            return None
        # RFC 9110 section 5.6.7: always GMT, also where the date does not say so.
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
