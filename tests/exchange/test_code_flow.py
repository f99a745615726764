"""The authorization code flow, held against a real provider over HTTP."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pullpass.domain.credential import Secret
from pullpass.domain.sign_in import SignInProvider, person_of
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.code_flow import Attempt, CodeFlow, CodeRefused
from pullpass.exchange.failure import IssuerUnavailable
from pullpass.exchange.oidc import Issuers
from tests.parts.provider import CLIENT_ID, CLIENT_SECRET, JO, OpenIdProvider
from tests.parts.stand_in import GARBAGE, failing, redirect
from tests.parts.wire import Scripted


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as found:
        yield found


def settings(provider: OpenIdProvider, secret: str | None = CLIENT_SECRET) -> SignInProvider:
    public = "https://pullpass.example"
    provider.redirects.add(f"{public}/ui/sign-in/callback")
    held = None if secret is None else Secret(secret)
    return SignInProvider(provider.name, CLIENT_ID, public, held)


def a_flow(chosen: SignInProvider, allowed: str = "127.0.0.0/8") -> CodeFlow:
    guard = AddressGuard(parse_networks(allowed))
    return CodeFlow(chosen, Issuers(guard), guard)


async def a_code(flow: CodeFlow, attempt: Attempt) -> Secret:
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.get(await flow.authorization_url(attempt))
    [found] = re.findall(r"code=([\w-]+)&", page.text)
    return Secret(found)


@pytest.mark.parametrize("auth", ["basic", "post", "none"])
async def test_each_way_that_a_client_says_who_it_is(provider: OpenIdProvider, auth: str) -> None:
    provider.auth = auth
    if auth == "post":
        provider.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    flow = a_flow(settings(provider, None if auth == "none" else CLIENT_SECRET))
    attempt = Attempt.begin()
    claims = await flow.redeem(await a_code(flow, attempt), attempt, datetime.now(UTC))
    assert claims["sub"] == JO["sub"]


async def test_a_wrong_secret_is_told_without_it(provider: OpenIdProvider) -> None:
    flow, attempt = a_flow(settings(provider, "canary")), Attempt.begin()
    with pytest.raises(CodeRefused, match="401 invalid_client") as caught:
        await flow.redeem(await a_code(flow, attempt), attempt, datetime.now(UTC))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("fault", [GARBAGE, failing(), redirect("https://evil.example/")])
async def test_a_provider_that_answers_with_something_else(
    provider: OpenIdProvider, fault: Scripted
) -> None:
    flow, attempt = a_flow(settings(provider)), Attempt.begin()
    code = await a_code(flow, attempt)
    provider.fault = fault
    with pytest.raises(IssuerUnavailable):
        await flow.redeem(code, attempt, datetime.now(UTC))


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://evil.example/authorize", "", None]
)
async def test_nobody_is_sent_where_it_is_not_safe(
    provider: OpenIdProvider, address: str | None
) -> None:
    provider.document["authorization_endpoint"] = address
    with pytest.raises(IssuerUnavailable):
        await a_flow(settings(provider)).authorization_url(Attempt.begin())


async def test_an_address_that_is_not_allowed_is_not_asked(provider: OpenIdProvider) -> None:
    with pytest.raises(IssuerUnavailable):
        await a_flow(settings(provider), "10.0.0.0/8").authorization_url(Attempt.begin())
    assert provider.calls == []


async def test_an_address_with_a_query_of_its_own_keeps_it(provider: OpenIdProvider) -> None:
    provider.document["authorization_endpoint"] = f"{provider.url}/authorize?realm=acme"
    asked = await a_flow(settings(provider)).authorization_url(Attempt.begin())
    assert parse_qs(urlsplit(asked).query)["realm"] == ["acme"]


async def test_a_provider_without_a_place_to_sign_out(provider: OpenIdProvider) -> None:
    del provider.document["end_session_endpoint"]
    assert await a_flow(settings(provider)).sign_out_url() is None


async def test_what_userinfo_says_of_somebody_else_is_not_taken(provider: OpenIdProvider) -> None:
    flow, attempt = a_flow(settings(provider)), Attempt.begin()
    provider.thin = True
    code = await a_code(flow, attempt)
    provider.wrong["sub"] = "somebody-else"
    with pytest.raises(CodeRefused, match="of somebody else"):
        await flow.redeem(code, attempt, datetime.now(UTC))


async def test_an_address_is_verified_where_the_provider_is_trusted_or_says_so(
    provider: OpenIdProvider,
) -> None:
    chosen = settings(provider)
    trusting = dataclasses.replace(chosen, email_trusted=True)
    silent: dict[str, object] = {"iss": provider.name, "sub": "jo", "email": "jo@example.com"}
    for verified, expected in ((True, True), ("true", True), (False, False), ("false", False)):
        person = person_of(trusting, {**silent, "email_verified": verified})
        assert (person.email is not None) is expected
    assert person_of(chosen, silent).email is None
    assert person_of(trusting, silent).email == "jo@example.com"


async def test_what_is_said_of_an_address_is_not_said_of_another_claim(
    provider: OpenIdProvider,
) -> None:
    chosen = dataclasses.replace(settings(provider), email_claim="preferred_username")
    named: dict[str, object] = {
        "iss": provider.name,
        "sub": "eve",
        "email": "eve@example.com",
        "email_verified": True,
        "preferred_username": "jo@example.com",
    }
    person = person_of(chosen, named)
    assert (person.email, person.unverified_email) == (None, "jo@example.com")
    same = person_of(chosen, {**named, "preferred_username": "eve@example.com"})
    assert same.email == "eve@example.com"
    trusting = dataclasses.replace(chosen, email_trusted=True)
    assert person_of(trusting, {**named, "email_verified": False}).email == "jo@example.com"
