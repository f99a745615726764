"""Tokens of Quay's federated robots, for a stored OIDC token and for the server's own."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.exchanger import Source
from pullpass.exchange.quay import QuayExchanger
from pullpass.exchange.token_service import TokenService
from tests.exchange.sources import loopback_service, source
from tests.parts.certificates import make_certificates
from tests.parts.oidc import OidcIssuer
from tests.parts.quay import Federation, QuayServer
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect, throttled
from tests.parts.wire import Scripted, answer

ROBOT = "acme+puller"
SUBJECT = "system:serviceaccount:pullpass:server"


@pytest.fixture
def issuer() -> OidcIssuer:
    return OidcIssuer()


@pytest.fixture
def quay(issuer: OidcIssuer) -> Iterator[QuayServer]:
    with QuayServer() as server:
        server.robots[ROBOT] = Federation(issuer, SUBJECT, server.authority)
        yield server


@pytest.fixture
def exchanger() -> QuayExchanger:
    return QuayExchanger(loopback_service(), ambient=False, token_file=None)


class TokenFile:
    """The file of the server's own token; nothing is in its place until something is put."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, content: str | bytes) -> None:
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def token_file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "token")


def stored(quay: QuayServer, token: str, robot: str = ROBOT) -> Source:
    creds = Credential(robot, Secret(token))
    return source("quay_robot", "quay.example", creds, endpoint=quay.url)


def ambient(quay: QuayServer) -> Source:
    return source("quay_robot", "quay.example", None, endpoint=quay.url, robot=ROBOT)


async def test_an_oidc_token_becomes_the_robots_own(
    quay: QuayServer, issuer: OidcIssuer, exchanger: QuayExchanger
) -> None:
    now = datetime.now(UTC)
    token = issuer.token(SUBJECT, quay.authority)
    issued = await exchanger.exchange(stored(quay, token), now)
    assert issued.credential.username == ROBOT
    assert quay.accepts(ROBOT, issued.credential.password.reveal())
    assert issued.expires == now + timedelta(hours=1)
    assert len(quay.calls) == 1
    assert token not in quay.calls[0].target


async def test_without_an_endpoint_the_registry_itself_is_asked(
    issuer: OidcIssuer, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path)
    trust = ssl.create_default_context(cafile=certificates.authority)
    calls = TokenService(AddressGuard(parse_networks("127.0.0.0/8")), trust)
    exchanger = QuayExchanger(calls, ambient=False, token_file=None)
    with QuayServer(certificates) as quay:
        quay.robots[ROBOT] = Federation(issuer, SUBJECT, None)
        creds = Credential(ROBOT, Secret(issuer.token(SUBJECT, "any")))
        origin = source("quay_robot", quay.authority, creds)
        issued = await exchanger.exchange(origin, datetime.now(UTC))
        assert quay.accepts(ROBOT, issued.credential.password.reveal())


@pytest.mark.parametrize("skew", [-300, 0, 300])
@pytest.mark.parametrize("lifetime", [60, 900, 3600])
async def test_its_life_does_not_hang_on_quays_clock(
    quay: QuayServer, issuer: OidcIssuer, exchanger: QuayExchanger, skew: int, lifetime: int
) -> None:
    quay.skew, quay.lifetime = skew, lifetime
    now = datetime.now(UTC)
    token = issuer.token(SUBJECT, quay.authority, skew=skew)
    issued = await exchanger.exchange(stored(quay, token), now)
    assert abs((issued.expires - now).total_seconds() - lifetime) <= 1


async def test_a_token_that_tells_no_end_lives_for_the_documented_hour(
    quay: QuayServer, issuer: OidcIssuer, exchanger: QuayExchanger
) -> None:
    quay.opaque = True
    now = datetime.now(UTC)
    token = issuer.token(SUBJECT, quay.authority)
    issued = await exchanger.exchange(stored(quay, token), now)
    assert issued.expires == now + timedelta(hours=1)


async def test_the_servers_own_token_goes_to_the_host_that_it_is_for(
    issuer: OidcIssuer, token_file: TokenFile, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path)
    trust = ssl.create_default_context(cafile=certificates.authority)
    calls = TokenService(AddressGuard(parse_networks("127.0.0.0/8")), trust)
    exchanger = QuayExchanger(calls, ambient=True, token_file=token_file.path)
    with QuayServer(certificates) as quay:
        for audience in (quay.authority, quay.url, quay.url + "/"):
            quay.robots[ROBOT] = Federation(issuer, SUBJECT, audience)
            token_file.put(issuer.token(SUBJECT, audience) + "\n")
            issued = await exchanger.exchange(ambient(quay), datetime.now(UTC))
            assert quay.accepts(ROBOT, issued.credential.password.reveal())


async def test_the_servers_own_token_is_read_anew_each_time(
    quay: QuayServer, issuer: OidcIssuer, token_file: TokenFile
) -> None:
    exchanger = QuayExchanger(
        loopback_service(), ambient=True, token_file=token_file.path, ambient_hosts=("127.0.0.1",)
    )
    token_file.put(issuer.token(SUBJECT, quay.authority))
    first = await exchanger.exchange(ambient(quay), datetime.now(UTC))
    rotated = OidcIssuer()
    quay.robots[ROBOT] = Federation(rotated, SUBJECT, quay.authority)
    token_file.put(rotated.token(SUBJECT, quay.authority))
    second = await exchanger.exchange(ambient(quay), datetime.now(UTC))
    assert quay.accepts(ROBOT, first.credential.password.reveal())
    assert quay.accepts(ROBOT, second.credential.password.reveal())


async def test_the_servers_own_token_is_not_given_unless_switched_on(
    quay: QuayServer, issuer: OidcIssuer, token_file: TokenFile
) -> None:
    token_file.put(issuer.token(SUBJECT, quay.authority))
    exchanger = QuayExchanger(loopback_service(), ambient=False, token_file=token_file.path)
    with pytest.raises(ExchangeRejected, match="PULLPASS_AMBIENT_IDENTITY") as caught:
        await exchanger.exchange(ambient(quay), datetime.now(UTC))
    assert caught.value.code == "ambient_identity_off"
    assert quay.calls == []


@pytest.mark.parametrize(
    "audience", ["sts.amazonaws.com", "https://quay.io", "https://kubernetes.default.svc", "", None]
)
async def test_the_servers_own_token_goes_to_no_host_that_it_is_not_for(
    quay: QuayServer, issuer: OidcIssuer, token_file: TokenFile, audience: str | None
) -> None:
    # None: the right audience, but it would go there in the clear.
    token = issuer.token(SUBJECT, quay.authority if audience is None else audience)
    token_file.put(token)
    exchanger = QuayExchanger(loopback_service(), ambient=True, token_file=token_file.path)
    with pytest.raises(ExchangeRejected, match="audience") as caught:
        await exchanger.exchange(ambient(quay), datetime.now(UTC))
    assert caught.value.code == "ambient_endpoint_refused"
    assert quay.calls == []
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"hunter2", b"\xff\xfe", b"a.b.c", "a.Zm9v.ü".encode(), b"x" * 100_000],
    ids=["no file", "empty", "no token", "bytes", "no claims", "not ASCII", "long"],
)
async def test_a_file_without_a_token_is_said_to_be_one(
    quay: QuayServer, token_file: TokenFile, content: bytes | None
) -> None:
    if content is not None:
        token_file.put(content)
    exchanger = QuayExchanger(loopback_service(), ambient=True, token_file=token_file.path)
    with pytest.raises(ExchangeUnavailable, match="PULLPASS_OIDC_TOKEN_FILE") as caught:
        await exchanger.exchange(ambient(quay), datetime.now(UTC))
    assert "hunter2" not in str(caught.value)
    assert str(token_file.path) not in str(caught.value)


async def test_a_server_without_a_token_file_says_how_to_name_one(quay: QuayServer) -> None:
    exchanger = QuayExchanger(loopback_service(), ambient=True, token_file=None)
    with pytest.raises(ExchangeUnavailable, match="PULLPASS_OIDC_TOKEN_FILE"):
        await exchanger.exchange(ambient(quay), datetime.now(UTC))


async def test_a_token_that_ended_is_not_sent(
    quay: QuayServer, issuer: OidcIssuer, exchanger: QuayExchanger, token_file: TokenFile
) -> None:
    token = issuer.token(SUBJECT, quay.authority, lifetime=60, skew=-3600)
    with pytest.raises(ExchangeRejected, match="stored OIDC token ended at 20"):
        await exchanger.exchange(stored(quay, token), datetime.now(UTC))
    token_file.put(token)
    own = QuayExchanger(loopback_service(), ambient=True, token_file=token_file.path)
    with pytest.raises(ExchangeUnavailable, match="PULLPASS_OIDC_TOKEN_FILE names ended at 20"):
        await own.exchange(ambient(quay), datetime.now(UTC))
    assert quay.calls == []


async def test_a_token_that_ended_by_our_clock_alone_is_good(
    quay: QuayServer, issuer: OidcIssuer, exchanger: QuayExchanger
) -> None:
    quay.skew = -300
    token = issuer.token(SUBJECT, quay.authority, lifetime=60, skew=-300)
    issued = await exchanger.exchange(stored(quay, token), datetime.now(UTC))
    assert quay.accepts(ROBOT, issued.credential.password.reveal())


@pytest.mark.parametrize("wrong", ["subject", "audience", "issuer", "signature", "robot", "time"])
async def test_a_refused_oidc_token_is_rejected_without_being_told(
    quay: QuayServer,
    issuer: OidcIssuer,
    exchanger: QuayExchanger,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    good = issuer.token(SUBJECT, quay.authority)
    token = {
        "subject": issuer.token("system:serviceaccount:other:pod", quay.authority),
        "audience": issuer.token(SUBJECT, "sts.amazonaws.com"),
        "issuer": issuer.token(SUBJECT, quay.authority, issuer="https://other.example"),
        "signature": OidcIssuer().token(SUBJECT, quay.authority),
        "robot": good,
        "time": issuer.token(SUBJECT, quay.authority, lifetime=60, skew=-200),
    }[wrong]
    origin = stored(quay, token, "acme+other" if wrong == "robot" else ROBOT)
    with pytest.raises(ExchangeRejected, match=r"Quay refuses the OIDC token .* \(401\)") as caught:
        await exchanger.exchange(origin, datetime.now(UTC))
    assert len(quay.calls) == 1
    assert token not in str(caught.value) + repr(caught.value) + caplog.text


async def test_a_refusal_as_a_crash_is_an_outage(
    quay: QuayServer, issuer: OidcIssuer, exchanger: QuayExchanger
) -> None:
    quay.crashes = True
    token = issuer.token("system:serviceaccount:other:pod", quay.authority)
    with pytest.raises(ExchangeUnavailable, match="500"):
        await exchanger.exchange(stored(quay, token), datetime.now(UTC))


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (answer({"error": "no"}, 404), ExchangeRejected, "no robot federation"),
        (answer({"error": "no"}, 418), ExchangeRejected, "418"),
        (throttled(7), ExchangeThrottled, "too often"),
        (failing(503), ExchangeUnavailable, "503"),
        (GARBAGE, ExchangeUnavailable, "not a JSON object"),
        (HUGE, ExchangeUnavailable, "more than it should"),
        (redirect("http://127.0.0.1:9/"), ExchangeUnavailable, "redirect"),
        (answer({}), ExchangeUnavailable, "without a token"),
        (answer({"token": 5}), ExchangeUnavailable, "without a token"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_quay_gets_wrong_is_told_without_any_secret(
    quay: QuayServer,
    issuer: OidcIssuer,
    exchanger: QuayExchanger,
    caplog: pytest.LogCaptureFixture,
    fault: Scripted,
    kind: type[ExchangeFailed],
    says: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    quay.fault = fault
    token = issuer.token(SUBJECT, quay.authority)
    with pytest.raises(kind, match=says) as caught:
        await exchanger.exchange(stored(quay, token), datetime.now(UTC))
    assert len(quay.calls) == 1
    told = [str(caught.value), repr(caught.value), repr(caught.value.details), caplog.text]
    assert token not in " ".join(told)


async def test_an_internal_address_is_refused_unless_allowed(
    quay: QuayServer, issuer: OidcIssuer
) -> None:
    exchanger = QuayExchanger(loopback_service(allowed=""), ambient=False, token_file=None)
    with pytest.raises(ExchangeRejected, match="PULLPASS_ALLOW_NETWORKS"):
        await exchanger.exchange(
            stored(quay, issuer.token(SUBJECT, quay.authority)), datetime.now(UTC)
        )
    assert quay.calls == []


def test_a_token_serves_the_quay_that_issued_it(exchanger: QuayExchanger) -> None:
    assert exchanger.scope("quay.io") != exchanger.scope("quay.example")
