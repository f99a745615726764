"""The transit engine, by a real OpenBao."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from pullpass.domain.credential import Secret
from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.transit import Access, TransitKey
from tests.parts.oidc import OidcIssuer
from tests.parts.openbao import OpenBao, openbao
from tests.parts.stand_in import GARBAGE, failing, redirect
from tests.parts.wire import Scripted, answer, wire_server

PLAIN = b"plain-canary-88"
WHOSE = "one"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


def key(uri: str, access: Access, ca: Path | None = None) -> TransitKey:
    guard = AddressGuard(parse_networks("127.0.0.0/8"))
    return TransitKey(uri, TokenService(guard, ssl.create_default_context(cafile=ca)), access)


def with_token(bao: OpenBao, policy: str = "pullpass") -> Access:
    return Access(token=Secret(bao.token(policy)))


async def test_what_is_wrapped_opens_again_also_after_the_key_was_rotated(bao: OpenBao) -> None:
    transit = key(bao.uri, with_token(bao), bao.ca)
    wrapped = await transit.wrap(PLAIN, WHOSE)
    assert PLAIN not in wrapped
    version = wrapped.split(b":")[1]
    bao.call("transit/keys/pullpass/rotate", {})
    assert await transit.unwrap(wrapped, WHOSE) == PLAIN
    newer = await transit.rewrap(wrapped, WHOSE)
    assert newer.split(b":")[1] != version
    # What the old version wrapped need not open any more.
    latest = bao.call("transit/keys/pullpass")["data"]["latest_version"]
    bao.call("transit/keys/pullpass/config", {"min_decryption_version": latest})
    assert await transit.unwrap(newer, WHOSE) == PLAIN
    with pytest.raises(ExchangeRejected, match="was wrapped by this one"):
        await transit.unwrap(wrapped, WHOSE)


async def test_an_agent_on_this_machine_needs_no_tls(bao: OpenBao) -> None:
    transit = key(bao.plain_uri, with_token(bao))
    assert await transit.unwrap(await transit.wrap(PLAIN, WHOSE), WHOSE) == PLAIN


async def test_a_token_file_is_read_at_each_call(bao: OpenBao, tmp_path: Path) -> None:
    file = tmp_path / "token"
    transit = key(bao.plain_uri, Access(token_file=file))
    with pytest.raises(ExchangeRejected, match=r"token file .* cannot be read"):
        await transit.wrap(PLAIN, WHOSE)
    file.write_text("\n")
    with pytest.raises(ExchangeRejected, match="holds no token"):
        await transit.wrap(PLAIN, WHOSE)
    file.write_text("wrong-canary-12\n")
    with pytest.raises(ExchangeRejected, match="refuses the token") as refused:
        await transit.wrap(PLAIN, WHOSE)
    assert "canary" not in refused.value.message
    file.write_text(bao.token() + "\n")
    assert await transit.unwrap(await transit.wrap(PLAIN, WHOSE), WHOSE) == PLAIN


async def test_an_identity_token_is_exchanged_where_a_role_is_given(
    bao: OpenBao, tmp_path: Path
) -> None:
    issuer = OidcIssuer()
    public = ECKey.import_key(issuer._key.as_dict(private=False)).as_pem(private=False).decode()
    bao.call("sys/auth/cluster", {"type": "jwt"})
    bao.call("auth/cluster/config", {"jwt_validation_pubkeys": [public]})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "bound_subject": "system:serviceaccount:pullpass:pullpass",
        "policies": ["pullpass"],
    }
    bao.call("auth/cluster/role/pullpass", role)
    file = tmp_path / "jwt"
    file.write_text(issuer.token("system:serviceaccount:pullpass:pullpass", "vault"))
    access = Access(role="pullpass", auth="cluster", jwt_file=file)
    transit = key(bao.plain_uri, access)
    assert await transit.unwrap(await transit.wrap(PLAIN, WHOSE), WHOSE) == PLAIN
    file.write_text(issuer.token("system:serviceaccount:other:other", "vault"))
    with pytest.raises(ExchangeRejected, match="role 'pullpass'"):
        await transit.wrap(PLAIN, WHOSE)
    with pytest.raises(ExchangeRejected, match="auth/nowhere/login"):
        await key(bao.plain_uri, replace(access, auth="nowhere")).wrap(PLAIN, WHOSE)


async def test_what_is_refused_says_why(bao: OpenBao) -> None:
    bao.call("sys/policies/acl/nothing", {"policy": 'path "x" { capabilities = ["read"] }'})
    with pytest.raises(ExchangeRejected, match=r"transit/encrypt/pullpass.*'update' on that path"):
        await key(bao.plain_uri, with_token(bao, "nothing")).wrap(PLAIN, WHOSE)
    with pytest.raises(ExchangeRejected, match="There is no token for Vault"):
        await key(bao.plain_uri, Access()).wrap(PLAIN, WHOSE)
    with pytest.raises(ExchangeRejected, match="was wrapped by this one"):
        await key(bao.plain_uri, with_token(bao)).unwrap(b"vault:v1:AAAA", WHOSE)
    with pytest.raises(ExchangeUnavailable, match="not trusted"):
        await key(bao.uri, with_token(bao)).wrap(PLAIN, WHOSE)


@pytest.mark.parametrize(
    ("scripted", "says"),
    [
        (failing(503), "Vault fails"),
        (GARBAGE, "not a JSON object"),
        (redirect("https://169.254.169.254/"), "redirect"),
        (answer({"data": {"ciphertext": ["x"]}}), "without a ciphertext"),
        (answer({"data": None}), "without a ciphertext"),
    ],
)
async def test_an_answer_that_is_none_is_tried_again_later(scripted: Scripted, says: str) -> None:
    with wire_server(scripted) as server:
        uri = f"hcvault+http://127.0.0.1:{server.port}/transit/keys/pullpass"
        with pytest.raises(ExchangeUnavailable, match=says):
            await key(uri, Access(token=Secret("x"), namespace="team/a")).wrap(PLAIN, WHOSE)
        assert server.requests[0].headers["x-vault-namespace"] == "team/a"


@pytest.mark.parametrize(
    "uri",
    [
        "hcvault://",
        "hcvault://vault.example.com/pullpass",
        "hcvault://vault.example.com/transit/keys/../sys",
        "hcvault://vault.example.com/../keys/x",
        "hcvault://user@vault.example.com/transit/keys/x",
        "hcvault://vault.example.com/transit/keys/x?y",
        "hcvault+http://vault.example.com/transit/keys/x",
    ],
)
def test_what_names_no_key_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"expected|without TLS"):
        key(uri, Access())
