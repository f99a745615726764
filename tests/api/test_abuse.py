"""Who keeps coming with unknown tokens, where a call comes from, and what a browser may do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from pullpass.api.forwarded import client_address
from pullpass.broker.attempts import MOST_FAILURES, WINDOW, FailedAttempts
from pullpass.broker.rate import RateLimit
from pullpass.domain.errors import RateLimited, TooManyAttempts
from pullpass.domain.token import generate
from tests.api.conftest import Api, open_api

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


async def test_unknown_tokens_are_refused_after_a_while_and_known_ones_are_not(api: Api) -> None:
    await api.call("GET", "/current-user")
    for _ in range(MOST_FAILURES):
        answer = await api.call("GET", "/current-user", generate().reveal())
        assert answer.status_code == 401
    answer = await api.call("GET", "/current-user", generate().reveal())
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(answer.headers["retry-after"]) <= WINDOW.total_seconds()
    assert (await api.call("GET", "/current-user")).status_code == 200


async def test_what_is_mistyped_costs_nothing_and_counts_for_nothing(api: Api) -> None:
    for _ in range(MOST_FAILURES + 1):
        assert (await api.call("GET", "/current-user", "ppt_typo")).status_code == 401
    assert (await api.call("GET", "/current-user", generate().reveal())).status_code == 401


def test_a_window_ends_and_other_addresses_have_their_own() -> None:
    attempts = FailedAttempts()
    for _ in range(MOST_FAILURES):
        attempts.require("192.0.2.1", NOW)
        attempts.failed("192.0.2.1", NOW)
    with pytest.raises(TooManyAttempts) as refused:
        attempts.require("192.0.2.1", NOW + timedelta(seconds=20))
    assert refused.value.retry_after == 40
    attempts.require("192.0.2.2", NOW)
    attempts.require(None, NOW)
    attempts.require("192.0.2.1", NOW + WINDOW)
    attempts.failed("192.0.2.1", NOW + WINDOW)
    attempts.require("192.0.2.1", NOW + WINDOW)


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("2001:db8:0:1::5", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::5"),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
        ("fe80::1%eth0", "fe80::2%eth0", "no address: at all"),
    ],
)
def test_a_host_with_many_addresses_is_one(address: str, same: str, other: str) -> None:
    attempts = FailedAttempts()
    for _ in range(MOST_FAILURES):
        attempts.failed(address, NOW)
    with pytest.raises(TooManyAttempts):
        attempts.require(same, NOW)
    attempts.require(other, NOW)


def test_the_table_of_addresses_has_an_end() -> None:
    attempts = FailedAttempts()
    for _ in range(MOST_FAILURES):
        attempts.failed("192.0.2.1", NOW)
    for number in range(10_000):
        attempts.failed(f"address {number}", NOW)
    attempts.require("192.0.2.1", NOW)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("unix", "198.51.100.7", "unix"),
    ],
)
def test_a_forwarded_address_is_believed_of_trusted_proxies_alone(
    peer: str, forwarded: str, expected: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == expected


def test_a_token_has_a_burst_and_then_its_rate() -> None:
    seconds = 0.0
    rate = RateLimit(10, 5, lambda: seconds)
    for _ in range(5):
        rate.require("one")
    with pytest.raises(RateLimited, match="more than 10 calls a second") as refused:
        rate.require("one")
    assert refused.value.retry_after == 1
    # Another token has calls of its own.
    rate.require("two")
    seconds = 0.25
    rate.require("one")
    rate.require("one")
    with pytest.raises(RateLimited):
        rate.require("one")
    seconds = 1000.0
    for _ in range(5):
        rate.require("one")
    with pytest.raises(RateLimited):
        rate.require("one")


def test_no_rate_is_no_limit_and_the_table_of_tokens_has_an_end() -> None:
    free = RateLimit(0, 1, lambda: 0.0)
    for _ in range(100):
        free.require("one")
    rate = RateLimit(1, 1, lambda: 0.0)
    rate.require("one")
    for number in range(10_000):
        rate.require(f"token {number}")
    rate.require("one")


async def test_a_token_that_calls_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    limits = {"requests_per_second": "1", "request_burst": "20"}
    async for api in open_api(tmp_path / "data", **limits):
        other = await api.token_for("reader")
        answers = [await api.call("GET", "/current-user") for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert refused[0].json()["code"] == "rate_limited"
        assert int(refused[0].headers["retry-after"]) >= 1
        assert (await api.call("GET", "/current-user", other)).status_code == 200


@pytest.fixture
async def behind_a_proxy(tmp_path: Path) -> AsyncIterator[Api]:
    async for found in open_api(tmp_path / "data", trusted_proxies="127.0.0.0/8"):
        yield found


async def test_the_audit_log_has_the_address_behind_the_proxy(
    behind_a_proxy: Api, tmp_path: Path
) -> None:
    api, headers = behind_a_proxy, {"X-Forwarded-For": "192.0.2.77, 198.51.100.7"}
    await api.call("GET", "/orgs/acme/image-creds?image=nginx", headers=headers)
    [newest, *_] = (await api.call("GET", "/orgs/acme/audit-logs")).json()
    assert newest["address"] == "198.51.100.7"


async def test_without_trusted_proxies_the_header_says_nothing(api: Api) -> None:
    headers = {"X-Forwarded-For": "198.51.100.7"}
    await api.call("GET", "/orgs/acme/image-creds?image=nginx", headers=headers)
    [newest, *_] = (await api.call("GET", "/orgs/acme/audit-logs")).json()
    assert newest["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "path", ["/current-user", "/orgs/none", "/nothing", "/health/live", "/metrics", "/schema", "/"]
)
async def test_every_answer_tells_browsers_to_do_nothing_with_it(api: Api, path: str) -> None:
    answer: httpx.Response = await api.call("GET", path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
