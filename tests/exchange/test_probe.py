"""The probe against scripted registries: what no healthy one does, and what none may see."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullpass.domain.probe import Probe, ProbeCode
from pullpass.exchange.upstream import Limits
from tests.exchange.conftest import PASSWORD, Try
from tests.parts.certificates import Certificates, make_certificates
from tests.parts.ports import free_port
from tests.parts.wire import Received, Scripted, WireServer, wire_server

BASIC = Scripted(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
OK = Scripted()
SENT = "Basic " + base64.b64encode(f"bot:{PASSWORD}".encode()).decode()


def domain(server: WireServer) -> str:
    return f"127.0.0.1:{server.port}"


def bearer(server: WireServer, host: str = "127.0.0.1", scheme: str = "http") -> Scripted:
    realm = f"{scheme}://{host}:{server.port}/token"
    return Scripted(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})


def sent_to(server: WireServer) -> list[str | None]:
    """The Authorization header of every request that came."""
    return [request.headers.get("authorization") for request in server.requests]


def targets(requests: list[Received]) -> list[str]:
    return [request.target for request in requests]


def says(probe: Probe, code: ProbeCode, *words: str) -> None:
    """The probe came to ``code``; the message is for a person, and no secret is anywhere."""
    assert probe.code is code, probe
    assert probe.ok is (code is ProbeCode.OK)
    for word in words:
        assert word in probe.message
    assert PASSWORD not in repr(probe)
    assert SENT.removeprefix("Basic ") not in repr(probe)
    assert probe.message.endswith(".")
    if not probe.ok:
        assert (probe.steps[-1].ok, probe.steps[-1].message) == (False, probe.message)


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """Certificates of 127.0.0.1 and localhost, whose authority the server trusts."""
    made = make_certificates(tmp_path / "certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    return made


@pytest.fixture
def other() -> Iterator[WireServer]:
    """A second server, which is to see nothing."""
    with wire_server() as server:
        yield server


async def test_basic(attempt: Try) -> None:
    with wire_server(BASIC, OK) as server:
        probe = await attempt(domain(server), repository="team/app")
    says(probe, ProbeCode.OK, "'team/app' can be pulled", domain(server))
    assert [step.name for step in probe.steps if step.ok] == [
        *("resolve", "connect", "connect", "ping", "login", "repository")
    ]
    assert sent_to(server) == [None, SENT, SENT]
    assert targets(server.requests) == ["/v2/", "/v2/", "/v2/team/app/tags/list?n=1"]
    assert server.requests[0].headers["host"] == domain(server)


async def test_a_registry_that_asks_at_the_repository_only(attempt: Try) -> None:
    with wire_server(OK, BASIC, OK) as server:
        probe = await attempt(domain(server), repository="team/app")
    says(probe, ProbeCode.OK)
    assert sent_to(server) == [None, None, SENT]


async def test_a_credential_that_nobody_asked_for_was_not_tried(attempt: Try) -> None:
    with wire_server(OK) as server:
        probe = await attempt(domain(server))
        says(probe, ProbeCode.OK, "not tried", "Name a repository")
        says(await attempt(domain(server), None), ProbeCode.OK, "without a credential")
    assert sent_to(server) == [None, None]


async def test_a_public_record_where_a_password_is_asked_for(attempt: Try) -> None:
    with wire_server(BASIC) as server:
        says(await attempt(domain(server), None), ProbeCode.UNAUTHORIZED, "the record has none")


async def test_a_token_is_got_and_used(attempt: Try) -> None:
    with wire_server(Scripted(body=b'{"access_token": "tok-1"}')) as tokens:
        with wire_server(bearer(tokens), OK) as server:
            probe = await attempt(domain(server), repository="team/app")
        says(probe, ProbeCode.OK)
        assert targets(tokens.requests) == ["/token?service=s&scope=repository%3Ateam%2Fapp%3Apull"]
        assert sent_to(tokens) == [SENT]
        assert sent_to(server) == [None, "Bearer tok-1", "Bearer tok-1"]
        assert "tok-1" not in repr(probe)


@pytest.mark.parametrize(
    ("token", "code", "word"),
    [
        (Scripted(401), ProbeCode.UNAUTHORIZED, "refused the user name and password (401)"),
        (Scripted(400), ProbeCode.UNAUTHORIZED, "(400)"),
        (Scripted(403), ProbeCode.FORBIDDEN, "(403)"),
        (Scripted(404), ProbeCode.PROTOCOL, "404"),
        (Scripted(503), ProbeCode.PROTOCOL, "503"),
        (Scripted(429), ProbeCode.RATE_LIMITED, "until when"),
        (Scripted(307, headers={"Location": "http://x.io/"}), ProbeCode.PROTOCOL, "'x.io'"),
        (Scripted(body=b"<html>"), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b"[" * 60_000), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b'"token"'), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b"{}"), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b'{"token": 1}'), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b'{"token": "a\\r\\nX: b"}'), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b'{"token": "\\ud800"}'), ProbeCode.PROTOCOL, "no token"),
        (Scripted(body=b'{"token": "a"}' + b" " * 65536), ProbeCode.PROTOCOL, "too large"),
    ],
)  # fmt: skip
async def test_a_token_server_that_gives_none(
    attempt: Try, token: Scripted, code: ProbeCode, word: str
) -> None:
    with wire_server(token) as tokens, wire_server(bearer(tokens)) as server:
        says(await attempt(domain(server)), code, word)
        assert sent_to(server) == [None]


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        'Bearer realm="/token"',
        'Bearer realm="ftp://x/token"',
        'Bearer realm="https://"',
        'Bearer realm="https://a b/token"',
        'Bearer realm="https://[::1/token"',
        'Bearer realm="https://x:99999/token"',
        'Bearer realm="',
        "Negotiate",
        "Digest realm=x",
    ],
)
async def test_a_challenge_that_no_client_can_meet(attempt: Try, challenge: str) -> None:
    with wire_server(Scripted(401, headers={"WWW-Authenticate": challenge})) as server:
        says(await attempt(domain(server)), ProbeCode.PROTOCOL, domain(server))


async def test_a_token_servers_address_passes_the_guard_too(attempt: Try) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "127.0.0.1" else ["10.0.0.1"]

    realm = Scripted(
        401, headers={"WWW-Authenticate": 'Bearer realm="https://inside.example/token"'}
    )
    with wire_server(realm) as server:
        probe = await attempt(domain(server), resolve=resolve)
    says(probe, ProbeCode.ADDRESS_REFUSED, "inside.example")


@pytest.mark.parametrize("plain_http", [True, False])
async def test_credentials_go_to_a_token_server_over_tls_only(
    attempt: Try, certificates: Certificates, other: WireServer, plain_http: bool
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    # A registry over TLS, and one over plain HTTP that is not on loopback by its name.
    tls = None if plain_http else certificates
    with wire_server(bearer(other), certificates=tls) as server:
        host = f"registry.example:{server.port}" if plain_http else domain(server)
        probe = await attempt(host, plain_http=plain_http, resolve=resolve)
    says(probe, ProbeCode.PROTOCOL, "without TLS")
    assert other.requests == []


@pytest.mark.parametrize("name", ["tokens.example", "localhost"])
async def test_a_token_server_over_plain_http_is_on_loopback_by_name_and_address(
    attempt: Try, other: WireServer, name: str
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "127.0.0.1" else ["10.0.0.1"]

    with wire_server(bearer(other, name)) as server:
        probe = await attempt(domain(server), resolve=resolve, allowed="0.0.0.0/0")
    says(probe, ProbeCode.PROTOCOL, f"'{name}' without TLS")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(attempt: Try, other: WireServer, status: int) -> None:
    away = Scripted(
        status, headers={"Location": f"http://user:pw-7@localhost:{other.port}/?x=pw-7"}
    )
    for script in ((away,), (BASIC, away), (BASIC, OK, away)):
        with wire_server(*script) as server:
            probe = await attempt(domain(server), repository="team/app")
        says(probe, ProbeCode.PROTOCOL, "redirects to 'localhost'")
        assert "pw-7" not in repr(probe)
    assert other.requests == []


@pytest.mark.parametrize(
    ("location", "said"),
    [("/other/", "'127.0.0.1'"), ("", "'127.0.0.1'"), ("http://a~b.io", "another address")],
)
async def test_a_redirect_to_nowhere_in_particular(attempt: Try, location: str, said: str) -> None:
    with wire_server(Scripted(302, headers={"Location": location})) as server:
        says(await attempt(domain(server)), ProbeCode.PROTOCOL, f"redirects to {said}")


@pytest.mark.parametrize(
    ("login", "code", "word"),
    [
        (BASIC, ProbeCode.UNAUTHORIZED, "refused the user name and password (401)"),
        (Scripted(403), ProbeCode.FORBIDDEN, "403"),
        (Scripted(404), ProbeCode.PROTOCOL, "no container registry"),
        (Scripted(400), ProbeCode.PROTOCOL, "400"),
        (Scripted(500), ProbeCode.PROTOCOL, "500"),
        (Scripted(body=b" " * 65537), ProbeCode.PROTOCOL, "no container registry"),
        (Scripted(headers={"Content-Type": "text/html; charset=utf-8"}), ProbeCode.PROTOCOL,
         "no container registry"),
        (Scripted(429, headers={"Retry-After": "60"}), ProbeCode.RATE_LIMITED,
         "2030-01-01T12:01:00.000Z"),
        (Scripted(429, headers={"Retry-After": "Tue, 01 Jan 2030 13:00:00 GMT"}),
         ProbeCode.RATE_LIMITED, "2030-01-01T13:00:00.000Z"),
        (Scripted(429), ProbeCode.RATE_LIMITED, "does not say until when"),
        (Scripted(headers={"ratelimit-remaining": "0;w=21600"}), ProbeCode.RATE_LIMITED,
         "pull no more"),
        (Scripted(body=b"{}", declared=100), ProbeCode.PROTOCOL, "broken off"),
    ],
)  # fmt: skip
async def test_what_a_login_can_come_to(
    attempt: Try, login: Scripted, code: ProbeCode, word: str
) -> None:
    with wire_server(BASIC, login) as server:
        says(await attempt(domain(server)), code, word, domain(server))


@pytest.mark.parametrize(
    ("listing", "code", "word"),
    [
        (Scripted(404), ProbeCode.NOT_FOUND, "no repository 'team/app'"),
        (Scripted(401), ProbeCode.FORBIDDEN, "may not pull 'team/app'"),
        (Scripted(403), ProbeCode.FORBIDDEN, "may not pull 'team/app'"),
        (Scripted(400), ProbeCode.PROTOCOL, "400"),
        (Scripted(headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "60"}),
         ProbeCode.RATE_LIMITED, "2030-01-01T12:01:00.000Z"),
        # Not every registry heeds `n`: that there is a list is enough.
        (Scripted(body=b" " * 65537), ProbeCode.OK, "can be pulled"),
    ],
)  # fmt: skip
async def test_what_pull_rights_can_come_to(
    attempt: Try, listing: Scripted, code: ProbeCode, word: str
) -> None:
    with wire_server(BASIC, OK, listing) as server:
        says(await attempt(domain(server), repository="team/app"), code, word)


async def test_a_packed_body_is_not_unpacked(attempt: Try) -> None:
    packed = Scripted(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    with wire_server(packed) as tokens, wire_server(bearer(tokens)) as server:
        says(await attempt(domain(server)), ProbeCode.PROTOCOL, "no token")
        assert tokens.requests[0].headers["accept-encoding"] == "identity"


async def test_a_cookie_is_not_sent_back_to_another_server(attempt: Try) -> None:
    with wire_server(Scripted(body=b'{"token": "t"}')) as tokens:
        challenge = bearer(tokens)
        cookie = Scripted(401, headers={**challenge.headers, "Set-Cookie": "session=1; Path=/"})
        with wire_server(cookie, OK) as server:
            says(await attempt(domain(server)), ProbeCode.OK)
        assert "cookie" not in tokens.requests[0].headers


@pytest.mark.parametrize(
    "script",
    [
        (Scripted(hang=True),),
        (BASIC, Scripted(hang=True)),
        (BASIC, Scripted(body=b" " * 1000, drip=True)),
    ],
)
async def test_a_slow_registry(attempt: Try, script: tuple[Scripted, ...]) -> None:
    with wire_server(*script) as server:
        probe = await attempt(domain(server), limits=Limits(request_seconds=0.5, total_seconds=5))
        says(probe, ProbeCode.TIMEOUT, domain(server), "in time")


async def test_the_time_for_all_requests_together_is_bounded(attempt: Try) -> None:
    with wire_server(BASIC, Scripted(hang=True)) as server:
        probe = await attempt(domain(server), limits=Limits(request_seconds=600, total_seconds=0.5))
        says(probe, ProbeCode.TIMEOUT)


async def test_a_slow_resolver(attempt: Try) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    probe = await attempt("registry.example", resolve=resolve, limits=Limits(request_seconds=0.1))
    says(probe, ProbeCode.NAME_RESOLUTION, "registry.example", "DNS")


async def test_nothing_listens(attempt: Try) -> None:
    port = free_port()
    says(await attempt(f"127.0.0.1:{port}"), ProbeCode.CONNECT, "Nothing listens", str(port))


async def test_an_ipv6_address_is_dialled(attempt: Try) -> None:
    for plain_http in (True, False):
        probe = await attempt(f"[::1]:{free_port()}", allowed="::1", plain_http=plain_http)
        says(probe, ProbeCode.CONNECT, "'::1' port")


async def test_a_malformed_answer(attempt: Try) -> None:
    for location in ("http://[::1", "http://x:99999999/"):
        with wire_server(Scripted(302, headers={"Location": location})) as server:
            says(await attempt(domain(server)), ProbeCode.PROTOCOL, domain(server))


async def test_the_next_address_is_tried_where_one_takes_no_connection(attempt: Try) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    with wire_server(BASIC, OK) as server:
        probe = await attempt(f"localhost:{server.port}", resolve=resolve)
    says(probe, ProbeCode.OK)


async def test_a_name_that_answers_differently_later_gains_nothing(
    attempt: Try, other: WireServer
) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        # Later, the address of a server that would take the credential.
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    script = (BASIC, OK, OK)
    with wire_server(*script) as server:
        probe = await attempt(
            f"rebound.example:{server.port}",
            repository="team/app",
            plain_http=True,
            allowed="127.0.0.1",
            resolve=resolve,
        )
    says(probe, ProbeCode.OK)
    assert asked == ["rebound.example"]
    assert sent_to(server) == [None, SENT, SENT]
    assert {request.headers["host"] for request in server.requests} == {
        f"rebound.example:{server.port}"
    }


async def test_a_certificate_is_checked_against_the_name_though_the_address_is_dialled(
    attempt: Try, certificates: Certificates
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with wire_server(BASIC, OK, certificates=certificates) as server:
        for host in ("localhost", "127.0.0.1"):
            server.requests.clear()
            probe = await attempt(f"{host}:{server.port}", resolve=resolve)
            says(probe, ProbeCode.OK)
            assert [step.name for step in probe.steps][:4] == ["resolve", "connect", "tls", "ping"]
            assert server.requests[0].headers["host"] == f"{host}:{server.port}"
        server.requests.clear()
        probe = await attempt(f"registry.example:{server.port}", resolve=resolve)
        says(probe, ProbeCode.TLS, "not trusted", "registry.example")
        assert server.requests == []


async def test_an_untrusted_certificate_is_no_reason_for_plain_http(
    attempt: Try, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    with wire_server(certificates=certificates) as server:
        says(await attempt(domain(server)), ProbeCode.TLS, "not trusted", "SSL_CERT_FILE")
        assert server.requests == []


async def test_plain_http_is_for_loopback_or_by_the_records_own_words(attempt: Try) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with wire_server(BASIC, OK) as server:
        host = f"registry.example:{server.port}"
        says(await attempt(host, resolve=resolve), ProbeCode.TLS, "http://")
        assert server.requests == []
        says(await attempt(host, resolve=resolve, plain_http=True), ProbeCode.OK)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_trust_store_that_cannot_be_read(
    attempt: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    probe = await attempt("registry.example")
    assert (probe.code, probe.steps) == (ProbeCode.TLS, ())
    assert "SSL_CERT_FILE" in probe.message


async def test_proxies_are_not_used(
    attempt: Try, other: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, other.url)
    with wire_server(BASIC, OK) as server:
        says(await attempt(domain(server)), ProbeCode.OK)
    assert other.requests == []


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("127.0.0.1", ""), ("localhost", ""), ("[::1]", ""), ("127.0.0.1", "10.0.0.0/8")],
)
async def test_an_internal_address_is_refused_by_default(
    attempt: Try, other: WireServer, host: str, allowed: str
) -> None:
    probe = await attempt(f"{host}:{other.port}", allowed=allowed)
    says(probe, ProbeCode.ADDRESS_REFUSED, "PULLPASS_ALLOW_NETWORKS")
    assert other.requests == []


async def test_docker_hub_is_asked_where_its_images_are(attempt: Try) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        raise OSError

    says(await attempt("docker.io", resolve=resolve), ProbeCode.NAME_RESOLUTION, "registry-1")
    assert asked == ["registry-1.docker.io:443"]
