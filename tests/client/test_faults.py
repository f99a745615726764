"""What the client makes of refusals, of silence and of answers that are not Pullpass's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pullpass.client import errors
from pullpass.client.sync import Client
from tests.client.talk import Connect, Sleeps, Talk
from tests.parts.certificates import make_certificates
from tests.parts.ports import free_port
from tests.parts.wire import Scripted, answer, refusal, wire_server

TOKEN = "ppt_not-a-real-one"
RECORD = {"id": "ghcr", "registry": "ghcr.io", "type": "public", "enable_ci": False}
LATER = refusal(503, "unavailable", "Not now.", Retry_After="1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (412, errors.PreconditionFailed),
        (413, errors.TooLarge),
        (429, errors.Unavailable),
        (500, errors.ApiError),
        (502, errors.UpstreamFailed),
        (503, errors.Unavailable),
    ],
)
def test_a_refusal_keeps_what_the_server_said(
    talk: Talk, status: int, kind: type[errors.ApiError]
) -> None:
    fields = [{"field": "creds.username", "problem": "is missing", "expected": "a string"}]
    said = refusal(status, "some_code", "A sentence.", {"fields": fields}, X_Request_Id="r-1")
    with talk(said) as (client, _), pytest.raises(errors.ApiError) as raised:
        client.registries.create({"id": "ghcr"})
    assert type(raised.value) is kind
    assert raised.value.status == status
    assert raised.value.code == "some_code"
    assert raised.value.message == str(raised.value) == "A sentence."
    assert raised.value.request_id == "r-1"
    assert raised.value.fields == (errors.FieldProblem("creds.username", "is missing", "a string"),)


def test_a_proxy_that_has_no_server_is_not_taken_for_a_failed_registry(talk: Talk) -> None:
    page = Scripted(502, b"<html>Bad gateway</html>")
    with talk(page) as (client, _), pytest.raises(errors.Unavailable):
        client.registries.create({})


@pytest.mark.parametrize(
    "given",
    [
        Scripted(200, b"<html>Welcome</html>"),
        Scripted(200, b""),
        Scripted(200, b'{"id": "ghcr"}'),
        Scripted(200, b"[]"),
        Scripted(200, b'{"id": 1, "registry": "a", "type": "public", "enable_ci": false}'),
        Scripted(404, b"<html>Not here</html>"),
        Scripted(404, b'{"message": "no Route matched"}'),
        Scripted(200, b"[" * 100_000),
    ],
    ids=lambda given: given.body[:24].decode(),
)
def test_an_answer_of_something_else_says_so(talk: Talk, given: Scripted) -> None:
    with (
        talk(given) as (client, _),
        pytest.raises(errors.InvalidAnswer, match="Is the server's URL right") as raised,
    ):
        client.registries.get("ghcr")
    assert raised.value.status == given.status


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_with_the_token(talk: Talk, status: int) -> None:
    with wire_server(answer(RECORD)) as elsewhere:
        moved = Scripted(status, b"", {"Location": f"{elsewhere.url}/orgs/acme/registries/ghcr"})
        with (
            talk(moved) as (client, _),
            pytest.raises(errors.InvalidAnswer, match="redirect"),
        ):
            client.registries.get("ghcr")
        assert elsewhere.requests == []


def test_a_read_is_repeated_until_the_server_is_ready_again(talk: Talk) -> None:
    sleeps = Sleeps()
    later = refusal(503, "unavailable", "Not now.", Retry_After="2")
    with talk(later, Scripted(503, b"busy"), answer(RECORD), sleeps=sleeps) as (client, server):
        assert client.registries.get("ghcr").id == "ghcr"
    assert len(server.requests) == 3
    assert 2 <= sleeps[0] < 3
    assert 0 < sleeps[1] < 2


def test_matching_changes_nothing_and_is_repeated_too(talk: Talk) -> None:
    nothing: dict[str, list[str]] = {"results": [], "unmatched": [], "malformed": []}
    with talk(Scripted(503, b""), answer(nothing)) as (client, server):
        client.registries.match(["nginx"])
    assert len(server.requests) == 2


WRITES: list[Callable[[Client], object]] = [
    lambda client: client.registries.create({"id": "ghcr"}),
    lambda client: client.registries.update("ghcr", {"enable_ci": True}),
    lambda client: client.registries.delete("ghcr"),
    lambda client: client.tokens.create("u1", "t1"),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_sent_once(talk: Talk, write: Callable[[Client], object]) -> None:
    sleeps = Sleeps()
    with (
        talk(LATER, sleeps=sleeps) as (client, server),
        pytest.raises(errors.Unavailable),
    ):
        write(client)
    assert len(server.requests) == 1
    assert sleeps == []


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_sent_again_where_it_cannot_have_been_done(
    connect: Connect, talk: Talk, write: Callable[[Client], object]
) -> None:
    with (
        talk(refusal(429, "too_many", "Not now.")) as (client, server),
        pytest.raises(errors.Unavailable),
    ):
        write(client)
    assert len(server.requests) == 3

    sleeps = Sleeps()
    with (
        connect(f"http://127.0.0.1:{free_port()}", "acme", TOKEN, sleep=sleeps) as client,
        pytest.raises(errors.ConnectionFailed) as raised,
    ):
        write(client)
    assert raised.value.unsent
    assert len(sleeps) == 2


def test_three_tries_are_enough(talk: Talk) -> None:
    with (
        talk(Scripted(503, b"")) as (client, server),
        pytest.raises(errors.Unavailable),
    ):
        client.registries.list()
    assert len(server.requests) == 3


def test_nobody_waits_an_hour_because_the_server_says_so(talk: Talk) -> None:
    sleeps = Sleeps()
    with (
        talk(refusal(503, "unavailable", "Not now.", Retry_After="3600"), sleeps=sleeps) as (
            client,
            _,
        ),
        pytest.raises(errors.Unavailable) as raised,
    ):
        client.registries.list()
    assert raised.value.retry_after == 3600
    assert sleeps == []


def test_no_server(connect: Connect) -> None:
    sleeps = Sleeps()
    url = f"http://127.0.0.1:{free_port()}"
    with (
        connect(url, "acme", TOKEN, sleep=sleeps) as client,
        pytest.raises(errors.ConnectionFailed, match="refused") as raised,
    ):
        client.registries.list()
    assert url in raised.value.message
    assert len(sleeps) == 2


def test_a_silent_server_is_not_asked_again(connect: Connect) -> None:
    with wire_server(Scripted(hang=True)) as server:
        with (
            connect(server.url, "acme", TOKEN, timeout=0.2) as client,
            pytest.raises(errors.ConnectionFailed, match="in time") as raised,
        ):
            client.registries.list()
        # It may have lost its patience before the server came to read.
        server.wait_for_request()
        assert len(server.requests) == 1
    assert raised.value.timed_out


def test_a_closed_client_says_so(talk: Talk) -> None:
    with talk() as (client, server):
        client.close()
        with pytest.raises(errors.InvalidArgument, match="closed"):
            client.registries.list()
    assert server.requests == []


def test_an_answer_that_breaks_off(talk: Talk) -> None:
    with (
        talk(Scripted(200, b'[{"id": "gh', declared=500)) as (client, _),
        pytest.raises(errors.ConnectionFailed),
    ):
        client.registries.list()


def test_a_certificate_of_an_authority_of_ones_own(connect: Connect, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with wire_server(answer([RECORD]), certificates=certificates) as server:
        with (
            connect(server.url, "acme", TOKEN, sleep=Sleeps()) as client,
            pytest.raises(
                errors.ConnectionFailed,
                match=r"its certificate is not trusted \(.+\);",
            ),
        ):
            client.registries.list()
        assert server.requests == []
        bundle = str(certificates.authority)
        with connect(server.url, "acme", TOKEN, ca_bundle=bundle) as client:
            assert [record.id for record in client.registries.list()] == ["ghcr"]


@pytest.mark.parametrize("token", ["", " ", "two words", "line\nbreak", "pässword", "nul\0"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(
    connect: Connect, token: str
) -> None:
    with pytest.raises(errors.InvalidArgument) as raised:
        connect("http://127.0.0.1", "acme", token)
    assert not token.strip() or token not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pullpass.example.com",
        "ftp://pullpass.example.com",
        "https://",
        "https://robot:hunter2@pullpass.example.com",
        "https://pullpass.example.com/?token=hunter2",
        "https://pullpass.example.com:port",
        "http://[::1",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_no_password_shown(
    connect: Connect, url: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match="expected an address like") as raised:
        connect(url, "acme", TOKEN)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("registry_id", ["", ".", ".."])
def test_an_id_that_would_name_another_resource_is_not_sent(talk: Talk, registry_id: str) -> None:
    with talk() as (client, server), pytest.raises(errors.InvalidArgument):
        client.registries.delete(registry_id)
    assert server.requests == []


def test_without_an_organization_what_needs_none_works(connect: Connect) -> None:
    with wire_server(answer([])) as server, connect(server.url, None, TOKEN) as client:
        assert client.organizations() == ()
        with pytest.raises(errors.InvalidArgument, match="organization"):
            client.registries.list()
