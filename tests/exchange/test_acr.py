"""Azure: from a client secret or the server's own identity to a registry's refresh token."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
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
from pullpass.exchange.acr import AzureExchanger
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.exchanger import Issued, Source
from tests.exchange.sources import loopback_service, service_of, source
from tests.parts.azure import CLIENT, TENANT, USERNAME, AzureServer, Federation
from tests.parts.oidc import OidcIssuer
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect, throttled
from tests.parts.wire import Scripted, answer

HOST = "acme.azurecr.io"
SECRET = "canary~8Q.client-secret"
OTHER = "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee"
SUBJECT = "system:serviceaccount:pullpass:server"
CREDS = Credential(CLIENT, Secret(SECRET))


@pytest.fixture
def azure() -> Iterator[AzureServer]:
    with AzureServer() as server:
        server.secrets[CLIENT] = SECRET
        server.registries[HOST] = {CLIENT}
        yield server


def principal(azure: AzureServer, creds: Credential = CREDS, **options: str) -> Source:
    given = {"tenant_id": TENANT, "authority": azure.url, "endpoint": azure.url, **options}
    return source("azure_acr", HOST, creds, **given)


def ambient_source(azure: AzureServer, **options: str) -> Source:
    return source("azure_acr", HOST, None, endpoint=azure.url, **options)


async def exchange(
    wanted: Source,
    now: datetime | None = None,
    *,
    ambient: bool = False,
    trusted: bool = True,
    metadata: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Issued:
    exchanger = AzureExchanger(
        loopback_service(),
        ambient=ambient,
        metadata=loopback_service("127.0.0.1") if metadata else None,
        ambient_hosts={"127.0.0.1"} if trusted else (),
        environ=environ or {},
    )
    return await exchanger.exchange(wanted, now or datetime.now(UTC))


async def refusal(
    wanted: Source,
    *,
    ambient: bool = False,
    trusted: bool = True,
    metadata: bool = True,
    environ: Mapping[str, str] | None = None,
) -> ExchangeFailed:
    with pytest.raises(ExchangeFailed) as caught:
        await exchange(wanted, ambient=ambient, trusted=trusted, metadata=metadata, environ=environ)
    return caught.value


def works(azure: AzureServer, issued: Issued) -> bool:
    credential = issued.credential
    return azure.accepts(credential.username, credential.password.reveal(), HOST)


@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_a_client_secret_becomes_a_refresh_token_that_ends_by_our_clock(
    azure: AzureServer, skew: float
) -> None:
    azure.skew = skew
    now = datetime.now(UTC)
    issued = await exchange(principal(azure), now)
    assert issued.credential.username == USERNAME
    assert works(azure, issued)
    assert issued.expires == now + timedelta(hours=3)


@pytest.mark.parametrize("skew", [-300, 0, 300])
async def test_a_refresh_token_that_does_not_say_when_it_began(
    azure: AzureServer, skew: float
) -> None:
    azure.skew, azure.claims = skew, {"iat": None, "nbf": None}
    now = datetime.now(UTC)
    issued = await exchange(principal(azure), now)
    # Clocks on the wire have whole seconds; the skew would be 300 of them.
    assert abs(issued.expires - now - timedelta(hours=3)) < timedelta(seconds=60)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1},
        {"exp": 10**400},
        {"iat": 10**12},
    ],
    ids=str,
)
async def test_a_refresh_token_whose_end_makes_no_sense_is_not_handed_out(
    azure: AzureServer, claims: dict[str, object]
) -> None:
    azure.claims = claims
    assert isinstance(await refusal(principal(azure)), ExchangeUnavailable)


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b.c", "a.W10.c", "a.\u00e9.c", "..", "a.bnVsbA.c"]
)
async def test_what_is_no_refresh_token_is_not_handed_out(azure: AzureServer, token: str) -> None:
    with AzureServer() as registry:
        registry.fault = answer({"refresh_token": token})
        error = await refusal(principal(azure, endpoint=registry.url))
    assert isinstance(error, ExchangeUnavailable)


@pytest.mark.parametrize(
    ("creds", "options", "says"),
    [
        (Credential(CLIENT, Secret("wrong")), {}, "secret's value, not its id"),
        (Credential(OTHER, Secret("wrong")), {}, "no application"),
        (CREDS, {"tenant_id": OTHER}, "no such tenant"),
    ],
    ids=["secret", "client", "tenant"],
)
async def test_what_is_wrong_with_a_service_principal_is_said(
    azure: AzureServer, creds: Credential, options: dict[str, str], says: str
) -> None:
    error = await refusal(principal(azure, creds, **options))
    assert isinstance(error, ExchangeRejected)
    assert says in error.message
    assert len(azure.calls) == 1


async def test_an_identity_without_the_role_is_told_to_get_it(azure: AzureServer) -> None:
    azure.registries[HOST] = set()
    error = await refusal(principal(azure))
    assert isinstance(error, ExchangeRejected)
    assert "AcrPull" in error.message


async def test_a_registry_that_does_not_exist(azure: AzureServer) -> None:
    azure.registries.clear()
    error = await refusal(principal(azure))
    assert isinstance(error, ExchangeRejected)
    assert f"no registry '{HOST}'" in error.message


FAULTS = [
    (throttled(9), ExchangeThrottled),
    (failing(500), ExchangeUnavailable),
    (answer({}, 408), ExchangeUnavailable),
    (redirect("http://127.0.0.1:1/"), ExchangeUnavailable),
    (GARBAGE, ExchangeUnavailable),
    (HUGE, ExchangeUnavailable),
    (answer({}), ExchangeUnavailable),
    (answer({}, 400), ExchangeRejected),
]
FAULT_NAMES = ["429", "500", "408", "redirect", "garbage", "huge", "empty", "400"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        *FAULTS,
        (answer({"error": "invalid_client"}, 401), ExchangeRejected),
        (answer({"error": "unauthorized_client"}, 400), ExchangeRejected),
        (answer({"error": "invalid_request", "error_codes": "?"}, 400), ExchangeRejected),
        (answer({"error": "x", "error_codes": [10**4000]}, 400), ExchangeRejected),
        (answer({"error": "temporarily_unavailable"}, 400), ExchangeUnavailable),
        (answer({"error": "x", "error_codes": [90055]}, 400), ExchangeThrottled),
    ],
    ids=[*FAULT_NAMES, "client", "grant", "request", "number", "passing", "tenant throttled"],
)
async def test_what_entra_may_answer(
    azure: AzureServer, fault: Scripted, kind: type[ExchangeFailed]
) -> None:
    azure.fault = fault
    error = await refusal(principal(azure))
    assert type(error) is kind
    assert len(azure.calls) == 1
    assert error.retry_after == (9 if fault.status == 429 else None)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [*FAULTS, (answer({}, 401), ExchangeRejected), (answer({}, 403), ExchangeRejected)],
    ids=[*FAULT_NAMES, "401", "403"],
)
async def test_what_the_registry_may_answer(
    azure: AzureServer, fault: Scripted, kind: type[ExchangeFailed]
) -> None:
    with AzureServer() as registry:
        registry.fault = fault
        error = await refusal(principal(azure, endpoint=registry.url))
        assert len(registry.calls) == 1
    assert type(error) is kind
    if fault.status == 403:
        assert "firewall" in error.message


@pytest.mark.parametrize(
    ("host", "authority"),
    [
        ("acme.azurecr.io", "login.microsoftonline.com"),
        ("acme-a1b2c3.azurecr.io", "login.microsoftonline.com"),
        ("acme.azurecr.cn", "login.chinacloudapi.cn"),
        ("acme.azurecr.us", "login.microsoftonline.us"),
    ],
)
async def test_each_cloud_has_its_authority(host: str, authority: str) -> None:
    asked: list[str] = []

    async def resolve(name: str, port: int) -> list[str]:
        asked.append(f"{name}:{port}")
        return []

    exchanger = AzureExchanger(service_of(AddressGuard((), resolve)), ambient=False)
    with pytest.raises(ExchangeRejected):
        await exchanger.exchange(
            source("azure_acr", host, CREDS, tenant_id=TENANT), datetime.now(UTC)
        )
    assert asked == [f"{authority}:443"]


async def test_a_closed_cloud_needs_an_authority() -> None:
    error = await refusal(source("azure_acr", "acme.azurecr.de", CREDS, tenant_id=TENANT))
    assert isinstance(error, ExchangeRejected)
    assert "options.authority" in error.message


async def test_a_token_is_for_one_registry() -> None:
    exchanger = AzureExchanger(loopback_service(), ambient=False)
    assert exchanger.scope(HOST) == HOST


@pytest.fixture
def workload(azure: AzureServer, tmp_path: Path) -> dict[str, str]:
    """The environment that the workload identity webhook gives a container."""
    issuer = OidcIssuer()
    azure.federated[CLIENT] = Federation(issuer, SUBJECT)
    (tmp_path / "token").write_text(issuer.token(SUBJECT, "api://AzureADTokenExchange") + "\n")
    return {
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_AUTHORITY_HOST": f"{azure.url}/",
    }


async def test_a_workload_identity(azure: AzureServer, workload: dict[str, str]) -> None:
    now = datetime.now(UTC)
    issued = await exchange(ambient_source(azure), now, ambient=True, environ=workload)
    assert works(azure, issued)
    assert issued.expires == now + timedelta(hours=3)


async def test_a_workload_identity_that_nothing_federates(
    azure: AzureServer, workload: dict[str, str]
) -> None:
    azure.federated[CLIENT] = Federation(OidcIssuer(), SUBJECT)
    error = await refusal(ambient_source(azure), ambient=True, environ=workload)
    assert isinstance(error, ExchangeRejected)
    assert "federated identity credential" in error.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token"}, "cannot be read"),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/dev/null"}, "is empty"),
        ({"AZURE_CLIENT_ID": ""}, "AZURE_CLIENT_ID"),
        ({"AZURE_TENANT_ID": ""}, "AZURE_TENANT_ID"),
    ],
)
async def test_a_workload_identity_that_is_not_whole(
    azure: AzureServer, workload: dict[str, str], change: dict[str, str], says: str
) -> None:
    error = await refusal(ambient_source(azure), ambient=True, environ={**workload, **change})
    assert error.code == "ambient_identity_missing"
    assert says in error.message
    assert azure.calls == []


async def test_the_machines_managed_identity(azure: AzureServer) -> None:
    azure.machine = CLIENT
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url}
    assert works(azure, await exchange(ambient_source(azure), ambient=True, environ=environ))
    chosen = {**environ, "AZURE_CLIENT_ID": OTHER}
    error = await refusal(ambient_source(azure), ambient=True, environ=chosen)
    assert error.code == "ambient_identity_missing"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (answer({}, 410), ExchangeUnavailable),
        (answer({}, 404), ExchangeUnavailable),
        (throttled(), ExchangeThrottled),
        (failing(), ExchangeUnavailable),
        (answer({}), ExchangeUnavailable),
        (answer({"error": "invalid_request"}, 400), ExchangeRejected),
    ],
    ids=["410", "404", "429", "503", "empty", "400"],
)
async def test_what_the_metadata_service_may_answer(
    azure: AzureServer, fault: Scripted, kind: type[ExchangeFailed]
) -> None:
    azure.fault = fault
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url}
    assert type(await refusal(ambient_source(azure), ambient=True, environ=environ)) is kind


async def test_the_metadata_service_is_asked_only_where_the_operator_lets_it(
    azure: AzureServer,
) -> None:
    azure.machine = CLIENT
    off = await refusal(ambient_source(azure))
    assert off.code == "ambient_identity_off"
    assert "PULLPASS_AMBIENT_IDENTITY" in off.message
    without = await refusal(ambient_source(azure), ambient=True, metadata=False)
    assert without.code == "ambient_identity_missing"
    assert azure.calls == []


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "https://evil.example"},
        {"authority": "https://login.microsoftonline.com.evil.example"},
        {"authority": "http://login.microsoftonline.com"},
        {"endpoint": "http://acme.azurecr.io"},
    ],
    ids=str,
)
async def test_the_servers_own_identity_is_not_shown_to_a_host_of_the_records_choice(
    azure: AzureServer, workload: dict[str, str], options: dict[str, str]
) -> None:
    wanted = source("azure_acr", HOST, None, **options)
    error = await refusal(wanted, ambient=True, trusted=False, environ=workload)
    assert error.code == "ambient_endpoint_refused"
    assert azure.calls == []


async def test_no_error_or_log_holds_a_secret(
    azure: AzureServer, workload: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = await exchange(principal(azure))
    errors = [await refusal(principal(azure, Credential(CLIENT, Secret(f"{SECRET}-wrong"))))]
    azure.registries[HOST] = set()
    errors.append(await refusal(principal(azure)))
    azure.federated.clear()
    errors.append(await refusal(ambient_source(azure), ambient=True, environ=workload))
    texts = [f"{error} {error!r} {error.details}" for error in errors]
    texts += [repr(issued), str(issued), caplog.text]
    assertion = azure.calls[-1].body.decode()
    shown = issued.credential.password.reveal()
    for text in texts:
        assert not [secret for secret in (SECRET, assertion[-40:], shown[-40:]) if secret in text]
