"""The header fields in which registries tell their rate limit."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from pullpass.exchange.rate_limit import is_used_up, reset_time

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
IN_A_MINUTE = datetime(2030, 1, 1, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "moment"),
    [
        ({}, None),
        ({"Retry-After": "60"}, IN_A_MINUTE),
        ({"Retry-After": "0"}, NOW),
        ({"Retry-After": "Tue, 01 Jan 2030 12:01:00 GMT"}, IN_A_MINUTE),
        ({"Retry-After": "Tue, 01 Jan 2030 13:01:00 +0100"}, IN_A_MINUTE),
        ({"Retry-After": "Tue, 01 Jan 2030 12:01:00 -0000"}, IN_A_MINUTE),
        ({"RateLimit-Reset": "60"}, IN_A_MINUTE),
        ({"X-RateLimit-Reset": str(int(IN_A_MINUTE.timestamp()))}, IN_A_MINUTE),
        ({"X-Retry-After": str(int(IN_A_MINUTE.timestamp()))}, IN_A_MINUTE),
        ({"RateLimit": '"default";r=0;t=60'}, IN_A_MINUTE),
        ({"Retry-After": "60", "RateLimit-Reset": "90"}, IN_A_MINUTE),
        ({"Retry-After": "soon", "RateLimit-Reset": "60"}, IN_A_MINUTE),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "9" * 30}, None),
        ({"Retry-After": "9" * 12}, None),
        ({"Retry-After": "\u0661"}, None),
    ],
)
def test_when_requests_are_taken_again(headers: dict[str, str], moment: datetime | None) -> None:
    found = reset_time(httpx.Headers(headers, encoding="utf-8"), NOW)
    assert found == moment
    assert found is None or found.utcoffset() is not None


@pytest.mark.parametrize(
    ("headers", "used_up"),
    [
        ({}, False),
        ({"RateLimit-Remaining": "0"}, True),
        # Docker Hub's own.
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}, True),
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "10;w=21600"}, False),
        ({"RateLimit": '"default";r=0;t=30'}, True),
        ({"RateLimit": '"default";r=50;t=30'}, False),
        ({"RateLimit-Remaining": "none"}, False),
    ],
)
def test_whether_the_last_pull_was_used(headers: dict[str, str], used_up: bool) -> None:
    assert is_used_up(httpx.Headers(headers)) is used_up
