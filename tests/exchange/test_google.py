"""Google: from a key or the server's own identity to an access token, and what can go wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
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
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.google import GoogleExchanger
from tests.exchange.sources import loopback_service, source
from tests.parts.google import (
    EMAIL,
    TOKEN_URI,
    GoogleServer,
    private_key_pem,
    service_account_key,
)
from tests.parts.oidc import OidcIssuer
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect, throttled
from tests.parts.wire import Scripted, answer

HOST = "europe-docker.pkg.dev"
READ = "https://www.googleapis.com/auth/devstorage.read_only"
WRITE = "https://www.googleapis.com/auth/devstorage.read_write"
OTHER = "other@acme.iam.gserviceaccount.com"
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


def key(text: str) -> Credential:
    return Credential("_json_key", Secret(text))


def keyed(google: GoogleServer, **options: str) -> Source:
    return source("google_gcr", HOST, key(service_account_key(google.token_uri)), **options)


def impersonating(google: GoogleServer, **options: str) -> Source:
    google.impersonators.add((EMAIL, OTHER))
    return keyed(google, impersonate=OTHER, iam_endpoint=google.url, **options)


async def exchange(
    wanted: Source, now: datetime | None = None, *, ambient: bool = False, trusted: bool = False
) -> Issued:
    exchanger = GoogleExchanger(
        loopback_service(), ambient=ambient, ambient_hosts={"127.0.0.1"} if trusted else ()
    )
    return await exchanger.exchange(wanted, now or datetime.now(UTC))


async def refusal(wanted: Source, *, ambient: bool = False) -> ExchangeFailed:
    with pytest.raises(ExchangeFailed) as caught:
        await exchange(wanted, ambient=ambient)
    return caught.value


def works(google: GoogleServer, issued: Issued, scope: str) -> bool:
    credential = issued.credential
    return google.accepts(credential.username, credential.password.reveal(), scope)


async def test_a_key_becomes_a_token_that_may_only_pull(google: GoogleServer) -> None:
    now = datetime.now(UTC)
    issued = await exchange(keyed(google), now)
    assert issued.credential.username == "oauth2accesstoken"
    assert works(google, issued, READ)
    assert not works(google, issued, WRITE)
    assert issued.expires == now + timedelta(seconds=3599)


async def test_a_key_in_base64_with_another_address_for_the_same_service(
    google: GoogleServer,
) -> None:
    text = base64.b64encode(service_account_key(TOKEN_URI).encode()).decode()
    creds = Credential("_json_key_base64", Secret(text))
    wanted = source("google_gcr", "gcr.io", creds, token_endpoint=google.token_uri, scope="push")
    assert works(google, await exchange(wanted), WRITE)


async def test_a_key_impersonates_with_a_token_that_can_do_nothing_else(
    google: GoogleServer,
) -> None:
    issued = await exchange(impersonating(google))
    assert works(google, issued, READ)
    first, second = google.tokens.values()
    assert (first.email, set(first.scopes)) == (EMAIL, {"https://www.googleapis.com/auth/iam"})
    assert (second.email, set(second.scopes)) == (OTHER, {READ})


@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_the_expiry_is_by_our_clock(google: GoogleServer, skew: float) -> None:
    google.skew = skew
    now = datetime.now(UTC)
    assert (await exchange(keyed(google), now)).expires == now + timedelta(seconds=3599)


@pytest.mark.parametrize("lifetime", [899.0, 3599.0])
@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_the_expiry_of_an_impersonating_token_is_by_our_clock(
    google: GoogleServer, skew: float, lifetime: float
) -> None:
    google.skew, google.lifetime = skew, lifetime
    now = datetime.now(UTC)
    issued = await exchange(impersonating(google), now)
    ends = datetime.fromtimestamp(list(google.tokens.values())[-1].ends - skew, UTC)
    # Clocks on the wire have whole seconds; the skew would be 300 of them.
    assert abs(issued.expires - ends) < timedelta(seconds=60)
    assert issued.expires <= now + timedelta(hours=1)


async def test_a_wrong_clock_is_said_to_be_one(google: GoogleServer) -> None:
    google.skew = -900
    error = await refusal(keyed(google))
    assert isinstance(error, ExchangeRejected)
    assert "check the clock" in error.message


async def test_a_deleted_key_and_a_foreign_one_are_refused(google: GoogleServer) -> None:
    wanted = keyed(google)
    google.keys.clear()
    deleted = await refusal(wanted)
    google.keys["key-0"] = (private_key_pem(1), EMAIL)
    foreign = await refusal(wanted)
    for error in (deleted, foreign):
        assert isinstance(error, ExchangeRejected)
        assert "make a new key" in error.message


async def test_a_key_that_is_broken_deeper_than_a_write_can_see_is_refused(
    google: GoogleServer,
) -> None:
    wanted = keyed(google, token_endpoint=google.token_uri)
    damaged = key(service_account_key(private_key=out_of_tune(private_key_pem())))
    error = await refusal(Source(wanted.record, damaged, HOST))
    assert isinstance(error, ExchangeRejected)
    assert "private_key" in error.message
    assert google.calls == []


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (answer({"error": "invalid_client"}, 401), ExchangeRejected, "disabled"),
        (answer({"error": "unauthorized_client"}, 401), ExchangeRejected, "disabled"),
        (answer({"error": "access_denied"}, 403), ExchangeRejected, "enabled"),
        (answer({"error": {"code": 403}}, 403), ExchangeRejected, "403"),
        (answer({}, 404), ExchangeRejected, "token_uri"),
        (throttled(7), ExchangeThrottled, "too often"),
        (answer({"error": "rate_limit_exceeded"}, 400), ExchangeThrottled, "too often"),
        (answer({"error": "internal_failure"}, 400), ExchangeUnavailable, "cannot answer"),
        (failing(503), ExchangeUnavailable, "503"),
        (redirect("http://127.0.0.1:1/"), ExchangeUnavailable, "redirect"),
        (GARBAGE, ExchangeUnavailable, "JSON"),
        (HUGE, ExchangeUnavailable, "more than it should"),
        (answer({"expires_in": 3599}), ExchangeUnavailable, "usable token"),
        (answer({"access_token": "x"}), ExchangeUnavailable, "usable token"),
        (answer({"access_token": "x", "expires_in": -5}), ExchangeUnavailable, "usable token"),
        (answer({"access_token": "x", "expires_in": 1e300}), ExchangeUnavailable, "usable token"),
    ],
    ids=lambda value: str(value.body[:40]) if isinstance(value, Scripted) else "",
)
async def test_what_the_token_service_may_answer(
    google: GoogleServer, fault: Scripted, kind: type[ExchangeFailed], says: str
) -> None:
    google.fault = fault
    error = await refusal(keyed(google))
    assert type(error) is kind
    assert says in error.message
    assert error.retry_after == (7 if kind is ExchangeThrottled and fault.status == 429 else None)
    assert len(google.calls) == 1


async def test_an_outage_is_no_refusal(google: GoogleServer) -> None:
    wanted = keyed(google)
    google.stop()
    assert isinstance(await refusal(wanted), ExchangeUnavailable)
    google.start()
    assert works(google, await exchange(wanted), READ)


async def test_impersonation_needs_the_role(google: GoogleServer) -> None:
    error = await refusal(keyed(google, impersonate=OTHER, iam_endpoint=google.url))
    assert isinstance(error, ExchangeRejected)
    assert "serviceAccountTokenCreator" in error.message
    assert OTHER in error.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"status": "UNAUTHENTICATED"}}, ExchangeRejected),
        (404, {"error": {"status": "NOT_FOUND"}}, ExchangeRejected),
        (400, {"error": {"status": "INVALID_ARGUMENT"}}, ExchangeRejected),
        (403, {"error": {"status": "RESOURCE_EXHAUSTED"}}, ExchangeThrottled),
        (403, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}, ExchangeThrottled),
        (429, {}, ExchangeThrottled),
        (408, {}, ExchangeUnavailable),
        (503, {}, ExchangeUnavailable),
        (200, {"accessToken": "x"}, ExchangeUnavailable),
        (200, {"accessToken": "x", "expireTime": "2030-13-01T00:00:00Z"}, ExchangeUnavailable),
        (200, {"accessToken": "x", "expireTime": "2020-01-01T00:00:00Z"}, ExchangeUnavailable),
    ],
)
async def test_what_impersonation_may_answer(
    google: GoogleServer, status: int, body: object, kind: type[ExchangeFailed]
) -> None:
    with GoogleServer() as iam:
        iam.fault = answer(body, status)
        error = await refusal(keyed(google, impersonate=OTHER, iam_endpoint=iam.url))
    assert type(error) is kind


async def test_an_endpoint_that_the_guard_refuses_is_not_asked(google: GoogleServer) -> None:
    exchanger = GoogleExchanger(loopback_service(allowed=""), ambient=False)
    with pytest.raises(ExchangeRejected, match="PULLPASS_ALLOW_NETWORKS"):
        await exchanger.exchange(keyed(google), datetime.now(UTC))
    assert google.calls == []


async def test_one_token_is_good_for_every_host(google: GoogleServer) -> None:
    exchanger = GoogleExchanger(loopback_service(), ambient=False)
    assert exchanger.scope(HOST) == exchanger.scope("gcr.io") == ""


async def test_the_servers_own_identity_has_to_be_switched_on() -> None:
    error = await refusal(source("google_gcr", HOST, None))
    assert error.code == "ambient_identity_off"
    assert "PULLPASS_AMBIENT_IDENTITY" in error.message


async def test_the_servers_own_identity_is_not_shown_to_a_host_of_the_records_choice(
    google: GoogleServer,
) -> None:
    wanted = source("google_gcr", HOST, None, impersonate=OTHER, iam_endpoint=google.url)
    error = await refusal(wanted, ambient=True)
    assert error.code == "ambient_endpoint_refused"
    assert google.calls == []


@pytest.fixture
def federated(
    google: GoogleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """The configuration of a workload identity federation, as Google writes one."""
    issuer = OidcIssuer()
    google.federation = (issuer, AUDIENCE)
    token = tmp_path / "token"
    token.write_text(issuer.token("server", AUDIENCE))
    settings: dict[str, object] = {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{google.url}/sts",
        "credential_source": {"file": str(token)},
    }
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "federation.json"))
    (tmp_path / "federation.json").write_text(json.dumps(settings))
    return settings


@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_workload_identity_federation_with_its_short_lifetime(
    google: GoogleServer, federated: dict[str, object], skew: float
) -> None:
    google.lifetime, google.skew = 899, skew
    now = datetime.now(UTC)
    issued = await exchange(source("google_gcr", HOST, None), ambient=True)
    assert works(google, issued, READ)
    assert abs(issued.expires - now - timedelta(seconds=899)) < timedelta(seconds=60)
    assert len(google.calls) == 1


@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_federation_that_impersonates_by_its_own_configuration(
    google: GoogleServer, federated: dict[str, object], tmp_path: Path, skew: float
) -> None:
    google.skew = skew
    google.impersonators.add(("principal://server", OTHER))
    url = f"{google.url}/v1/projects/-/serviceAccounts/{OTHER}:generateAccessToken"
    settings = {**federated, "service_account_impersonation_url": url}
    (tmp_path / "federation.json").write_text(json.dumps(settings))
    now = datetime.now(UTC)
    issued = await exchange(source("google_gcr", HOST, None), ambient=True)
    assert works(google, issued, READ)
    assert abs(issued.expires - now - timedelta(hours=1)) < timedelta(seconds=60)


async def test_federation_and_then_impersonation_by_the_record(
    google: GoogleServer, federated: dict[str, object]
) -> None:
    google.impersonators.add(("principal://server", OTHER))
    wanted = source("google_gcr", HOST, None, impersonate=OTHER, iam_endpoint=google.url)
    assert works(google, await exchange(wanted, ambient=True, trusted=True), READ)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (answer({"error": "invalid_grant"}, 400), ExchangeRejected),
        (throttled(), ExchangeThrottled),
        (failing(503), ExchangeUnavailable),
        (redirect("http://127.0.0.1:1/"), ExchangeUnavailable),
        (GARBAGE, ExchangeUnavailable),
        (answer({}), ExchangeUnavailable),
    ],
    ids=["refused", "throttled", "503", "redirect", "garbage", "empty"],
)
async def test_what_federation_may_answer(
    google: GoogleServer,
    federated: dict[str, object],
    fault: Scripted,
    kind: type[ExchangeFailed],
) -> None:
    google.fault = fault
    assert type(await refusal(source("google_gcr", HOST, None), ambient=True)) is kind


async def test_a_redirect_from_federation_is_not_followed(
    google: GoogleServer, federated: dict[str, object]
) -> None:
    with GoogleServer() as elsewhere:
        google.fault = redirect(f"{elsewhere.url}/sts")
        error = await refusal(source("google_gcr", HOST, None), ambient=True)
        assert elsewhere.calls == []
    assert isinstance(error, ExchangeUnavailable)


async def test_a_file_that_is_not_there_is_no_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    error = await refusal(source("google_gcr", HOST, None), ambient=True)
    assert error.code == "ambient_identity_missing"


_ON_A_MACHINE = """
import asyncio, datetime, pullpass.exchange.google_ambient as ambient
value, expires = asyncio.run(ambient.ambient_token("%s"))
print(value, (expires - datetime.datetime.now(datetime.UTC)).total_seconds())
"""


async def test_the_machines_own_account(google: GoogleServer, tmp_path: Path) -> None:
    google.machine, google.lifetime = EMAIL, 1799
    # google-auth reads where the metadata server is when it is imported.
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GCE_METADATA_HOST": google.authority,
        "GCE_METADATA_IP": google.authority,
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _ON_A_MACHINE % READ],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    value, seconds = done.stdout.split()
    assert google.accepts("oauth2accesstoken", value, READ)
    assert abs(float(seconds) - 1799) < 60


async def test_no_error_or_log_holds_a_secret(
    google: GoogleServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pem = private_key_pem()
    google.skew = -900
    errors = [await refusal(keyed(google))]
    sent = google.calls[0].body.decode()
    google.skew = 0
    errors.append(await refusal(keyed(google, impersonate=OTHER, iam_endpoint=google.url)))
    issued = await exchange(impersonating(google))
    texts = [f"{error} {error!r} {error.details}" for error in errors]
    texts += [repr(issued), str(issued), caplog.text]
    secrets = [*pem.splitlines()[1:3], *google.tokens, sent[-40:]]
    for text in texts:
        assert not [secret for secret in secrets if secret in text]


def out_of_tune(pem: str) -> str:
    """The key with another private exponent: well-formed, and good for nothing."""
    first, *body, last = pem.strip().splitlines()
    der = bytearray(base64.b64decode("".join(body)))
    exponent = der.index(bytes.fromhex("0203010001")) + 5
    middle = exponent + 100
    der[middle : middle + 8] = bytes(byte ^ 0x55 for byte in der[middle : middle + 8])
    return "\n".join([first, base64.b64encode(der).decode(), last, ""])
