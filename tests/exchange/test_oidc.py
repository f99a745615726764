"""Identity tokens held against a real issuer over HTTP(S): what is taken, and when it is asked."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import OctKey, RSAKey

from pullpass.domain.credential import Secret
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.failure import IdentityTokenRefused, IssuerUnavailable
from pullpass.exchange.oidc import Issuers
from tests.parts.certificates import make_certificates
from tests.parts.oidc import IssuerServer, new_key
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect
from tests.parts.wire import Scripted, answer

MINUTE = 60.0
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuers(clock: Clock) -> Issuers:
    return Issuers(AddressGuard(parse_networks("127.0.0.0/8")), clock)


async def check(issuers: Issuers, token: str) -> None:
    await issuers.verify(issuers.read(Secret(token), datetime.now(UTC)))


async def assert_refused(issuers: Issuers, token: str, reason: str) -> None:
    with pytest.raises(IdentityTokenRefused) as refused:
        await check(issuers, token)
    assert reason in refused.value.reason
    assert token not in refused.value.reason


async def assert_unavailable(issuers: Issuers, token: str, reason: str = "") -> None:
    with pytest.raises(IssuerUnavailable) as unavailable:
        await check(issuers, token)
    assert reason in unavailable.value.reason
    assert 1 <= unavailable.value.retry_after <= 30


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *(("RSA", f"{family}{bits}") for family in ("RS", "PS") for bits in (256, 384, 512)),
        ("ES256", "ES256"),
        ("ES384", "ES384"),
        ("ES512", "ES512"),
        ("Ed25519", "Ed25519"),
        ("Ed25519", "EdDSA"),
    ],
)
async def test_signatures_that_are_taken(
    issuers: Issuers, issuer: IssuerServer, kind: str, algorithm: str
) -> None:
    issuer.keys = [new_key(kind=kind)]
    await check(issuers, issuer.token(header={"alg": algorithm}))
    await assert_refused(
        issuers, issuer.token(key=new_key(kind=kind), header={"alg": algorithm}), "signature"
    )


async def test_a_token_that_was_changed(issuers: Issuers, issuer: IssuerServer) -> None:
    header, _, signature = issuer.token().split(".")
    changed = f"{header}.{part(issuer.claims(sub='somebody else'))}.{signature}"
    await assert_refused(issuers, changed, "signature")
    await assert_refused(issuers, f"{issuer.token()[:-4]}AAAA", "signature")
    await assert_refused(issuers, issuer.token().rpartition(".")[0] + ".", "signature")


async def test_no_signature_and_none_by_a_shared_secret(
    issuers: Issuers, issuer: IssuerServer
) -> None:
    """RFC 8725 section 2.1: `none`, and a public key used as the secret of an HMAC."""
    key = new_key(kind="RSA")
    issuer.keys = [key]
    assert isinstance(key, RSAKey)
    pem = key.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name in ("none", "None", "NONE"):
        unsigned = f"{part({'alg': name, 'kid': 'one'})}.{part(issuer.claims())}."
        await assert_refused(issuers, unsigned, "not taken")
    for secret in (pem, json.dumps(key.as_dict(private=False)).encode()):
        signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(issuer.claims())}"
        code = hmac.new(secret, signed.encode(), "sha256").digest()
        forged = f"{signed}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"
        await assert_refused(issuers, forged, "not taken")
    # Nor with a secret that the issuer itself shows.
    shown = OctKey.generate_key(256, {"kid": "two"})
    issuer.entries = [shown.as_dict(private=True)]
    forged = issuer.token(key=shown, header={"alg": "HS256"})
    await assert_refused(issuers, forged, "not taken")
    assert issuer.calls == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "x" * 1001}, "subject"),
        ({"sub": "a\0b"}, "subject"),
        ({"iss": None}, "iss"),
        ({"iss": ["https://issuer.example"]}, "iss"),
        ({"aud": None}, "aud"),
        ({"aud": [7]}, "aud"),
        ({"nbf": "now"}, "nbf"),
    ],
)
async def test_claims_that_have_to_be_there_and_right(
    issuers: Issuers, issuer: IssuerServer, changes: dict[str, Any], reason: str
) -> None:
    await assert_refused(issuers, issuer.token(**changes), reason)
    assert issuer.calls == []


async def test_the_time_of_a_token_with_a_minute_for_clocks(
    issuers: Issuers, issuer: IssuerServer
) -> None:
    now = int(issuer.time())
    await check(issuers, issuer.token(exp=now - 30))
    await check(issuers, issuer.token(nbf=now + 30, iat=now + 30))
    await check(issuers, issuer.token(nbf=None, iat=None))
    await assert_refused(issuers, issuer.token(exp=now - 90), "expired")
    await assert_refused(issuers, issuer.token(nbf=now + 120), "not yet valid")
    await assert_refused(issuers, issuer.token(iat=now + 120), "future")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "three parts"),
        ("a.b", "three parts"),
        ("a.b.c.d.e", "three parts"),
        ("..", "no JWT"),
        ("é.é.é", "no JWT"),
        (f"{part([1])}.{part({})}.x", "no JWT"),
        (f"{part({'kid': 'one'})}.{part({})}.x", "no JWT"),
        (f"{part({'alg': ['ES256']})}.{part({})}.x", "no JWT"),
        (f"{part({'alg': 'ES256'})}.{part([1])}.x", "JSON object"),
        (f"{part({'alg': 'ES256'})}.bm90IGpzb24.x", "no JWT"),
        (f"{part({'alg': 'ES256', 'typ': 'logout+jwt'})}.{part({})}.x", "type"),
        (f"{part({'alg': 'ES256', 'crit': ['x'], 'x': 1})}.{part({})}.x", "no JWT"),
        (f"{part({'alg': 'ES256', 'b64': False, 'crit': ['b64']})}.{part({})}.x", ""),
        ("x" * 20_000, "longer"),
        (f"{part({'alg': 'ES256', 'x': 'y' * 9000})}.{part({})}.x", "no JWT"),
        (
            "eyJhbGciOiJFUzI1NiJ9."
            + base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=")
            + ".x",
            "no JWT",
        ),
    ],
)
async def test_what_is_no_identity_token(issuers: Issuers, token: str, reason: str) -> None:
    with pytest.raises(IdentityTokenRefused) as refused:
        await check(issuers, token)
    assert reason in refused.value.reason
    # Whoever tries a token out reads it, and knows none of our libraries.
    assert "Error" not in refused.value.reason


async def test_headers_that_say_nothing_of_the_signature_are_ignored(
    issuers: Issuers, issuer: IssuerServer
) -> None:
    headers: tuple[dict[str, object], ...] = (
        {"typ": "JWT", "x5t": "abc", "custom": 1},
        {"typ": None},
        {"typ": "at+jwt"},
    )
    for header in headers:
        await check(issuers, issuer.token(header=header))


async def test_keys_are_asked_for_once_and_again_when_they_are_old(
    issuers: Issuers, issuer: IssuerServer, clock: Clock
) -> None:
    await asyncio.gather(*(check(issuers, issuer.token()) for _ in range(20)))
    assert (issuer.asked(), len(issuer.calls)) == (1, 2)
    clock.now += 9 * MINUTE
    await check(issuers, issuer.token())
    assert issuer.asked() == 1
    clock.now += 2 * MINUTE
    # In the meantime a key was withdrawn.
    withdrawn = issuer.keys[0]
    issuer.keys = [new_key("two")]
    await assert_refused(issuers, issuer.token(key=withdrawn), "no key")
    await check(issuers, issuer.token())
    assert issuer.asked() == 2


async def test_a_new_key_is_found_at_once_and_an_unknown_one_hammers_nobody(
    issuers: Issuers, issuer: IssuerServer, clock: Clock
) -> None:
    await check(issuers, issuer.token())
    old = issuer.keys[0]
    issuer.keys = [new_key("two"), old]
    clock.now += MINUTE
    await check(issuers, issuer.token())
    await check(issuers, issuer.token(key=old))
    assert issuer.asked() == 2
    for number in range(50):
        stranger = new_key(f"unknown-{number}")
        await assert_refused(issuers, issuer.token(key=stranger), "no key")
    assert issuer.asked() == 2
    clock.now += MINUTE
    await asyncio.gather(
        *(assert_refused(issuers, issuer.token(key=new_key("x")), "no key") for _ in range(10))
    )
    assert issuer.asked() == 3


async def test_an_outage_is_bridged_for_some_hours(
    issuers: Issuers, issuer: IssuerServer, clock: Clock
) -> None:
    await check(issuers, issuer.token())
    issuer.stop()
    try:
        clock.now += 5 * HOUR
        await check(issuers, issuer.token())
        clock.now += 2 * HOUR
        await assert_unavailable(issuers, issuer.token(), "cannot be reached")
    finally:
        issuer.start()
    # Not before its pause is over.
    await assert_unavailable(issuers, issuer.token())
    clock.now += MINUTE
    await check(issuers, issuer.token())


async def test_an_issuer_that_fails_is_not_asked_by_every_token(
    issuers: Issuers, issuer: IssuerServer, clock: Clock
) -> None:
    issuer.fault = failing()
    for _ in range(10):
        await assert_unavailable(issuers, issuer.token())
    assert len(issuer.calls) == 1
    clock.now += MINUTE
    await assert_unavailable(issuers, issuer.token())
    assert len(issuer.calls) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (GARBAGE, "not a JSON object"),
        (HUGE, "more than it should"),
        (failing(500), "fails (500)"),
        (redirect("https://elsewhere.example/"), "redirect"),
        (Scripted(404, b"{}"), "404"),
        (answer([]), "not a JSON object"),
        (answer({"issuer": "https://elsewhere.example"}), "another name"),
    ],
)
async def test_an_issuer_that_answers_what_it_should_not(
    issuers: Issuers, issuer: IssuerServer, fault: Scripted, reason: str
) -> None:
    issuer.fault = fault
    await assert_unavailable(issuers, issuer.token(), reason)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"jwks_uri": None}, "no https address"),
        ({"jwks_uri": "http://keys.example/"}, "no https address"),
        ({"jwks_uri": "file:///etc/passwd"}, "no https address"),
        ({"jwks_uri": "https://10.0.0.1/keys"}, "no public address"),
        ({"jwks_uri": "http://169.254.169.254/latest"}, "no public address"),
        ({"jwks_uri": "https://127.0.0.1/\x01"}, "control characters"),
        ({"jwks_uri": "https://bücher.example/keys"}, "not an http"),
    ],
)
async def test_keys_from_where_none_are_fetched(
    issuers: Issuers, issuer: IssuerServer, document: dict[str, object], reason: str
) -> None:
    issuer.document = document
    await assert_unavailable(issuers, issuer.token(), reason)


async def test_an_internal_address_is_not_asked_unless_it_is_allowed(
    issuer: IssuerServer, clock: Clock
) -> None:
    await assert_unavailable(Issuers(AddressGuard(), clock), issuer.token(), "PULLPASS_ALLOW")
    assert issuer.calls == []


@pytest.mark.parametrize("suffix", ["", "/", "/realms/acme", "/realms/acme/"])
async def test_an_issuer_is_named_exactly_as_it_names_itself(
    issuers: Issuers, issuer: IssuerServer, suffix: str
) -> None:
    issuer.suffix = suffix
    await check(issuers, issuer.token())
    other = issuer.name.removesuffix("/") if suffix.endswith("/") else f"{issuer.name}/"
    await assert_unavailable(issuers, issuer.token(iss=other), "another name")


async def test_keys_that_are_none_for_signatures_are_left_out(
    issuers: Issuers, issuer: IssuerServer, clock: Clock
) -> None:
    weak = RSAKey.generate_key(2048, {"kid": "one"}, private=True).as_dict(private=False)
    good = issuer.keys[0].as_dict(private=False)
    issuer.entries = [
        {"kty": "AKP", "kid": "one", "alg": "ML-DSA-44", "pub": "x"},
        {"kty": "EC", "kid": "one", "crv": "P-999", "x": "x", "y": "y"},
        {"kty": "EC", "kid": "one"},
        {**good, "use": "enc"},
        {**good, "alg": "ES384"},
        {**weak, "n": "AQAB"},
        {"kty": 7},
    ]
    await check(issuers, issuer.token())
    issuer.keys = []
    clock.now += HOUR
    await assert_refused(issuers, issuer.token(key=new_key()), "no key")


async def test_a_token_that_names_no_key_is_taken_where_there_is_one(
    issuers: Issuers, issuer: IssuerServer, clock: Clock
) -> None:
    await check(issuers, issuer.token(header={"kid": None}))
    issuer.keys = [*issuer.keys, new_key("two")]
    clock.now += HOUR
    await check(issuers, issuer.token())
    await assert_refused(issuers, issuer.token(header={"kid": None}), "no key")


async def test_over_tls_the_certificate_has_to_be_trusted(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = make_certificates(tmp_path)
    guard = AddressGuard(parse_networks("127.0.0.0/8"))
    with IssuerServer(certificates) as issuer:
        await assert_unavailable(Issuers(guard, clock), issuer.token(), "not trusted")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
        await check(Issuers(guard, clock), issuer.token())
