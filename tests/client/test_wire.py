"""What is sent, byte for byte, and what is read where Pullpass does not send it yet."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pullpass.client import operations
from pullpass.client.errors import InvalidArgument
from pullpass.client.paging import next_page
from pullpass.client.secret import Secret
from tests.client.talk import Connect, Talk
from tests.parts.wire import Scripted, answer, wire_server

RECORD = {"id": "ghcr", "registry": "ghcr.io", "type": "public", "enable_ci": False}


def test_the_token_goes_in_its_header_and_ids_are_encoded_whole(connect: Connect) -> None:
    with (
        wire_server(answer(RECORD)) as server,
        connect(f"{server.url}/base/", "acme", " ppt_x\n") as client,
    ):
        client.registries.get("a/b?c%2F#d é")
    received = server.requests[0]
    assert received.target == "/base/orgs/acme/registries/a%2Fb%3Fc%252F%23d%20%C3%A9"
    assert received.headers["authorization"] == "Bearer ppt_x"


def test_an_image_is_encoded_as_one_value(talk: Talk) -> None:
    with talk(answer({"registry": "ghcr.io"})) as (client, server):
        client.image_creds("ghcr.io/a/b:1&2+3@sha256:00", cluster="eu 1")
    assert server.requests[0].target == (
        "/orgs/acme/image-creds?image=ghcr.io%2Fa%2Fb%3A1%262%2B3%40sha256%3A00&cluster=eu%201"
    )


def test_a_record_is_sent_whole_and_an_update_only_with_what_is_given(talk: Talk) -> None:
    with talk(answer(RECORD)) as (client, server):
        expires = datetime(2030, 1, 31, 13, tzinfo=timezone(timedelta(hours=1)))
        client.registries.create(
            {
                "id": "ghcr",
                "registry": "ghcr.io",
                "type": "basic",
                "creds": {"username": "u", "password": Secret("pä\n"), "expires": expires},
            }
        )
        client.registries.update("ghcr", {"secrets": None}, if_match='"3"')
        client.registries.delete("ghcr", if_match='"4"')
    created, updated, deleted = server.requests
    assert json.loads(created.body) == {
        "id": "ghcr",
        "registry": "ghcr.io",
        "type": "basic",
        "creds": {"username": "u", "password": "pä\n", "expires": "2030-01-31T12:00:00.000Z"},
    }
    assert (updated.method, json.loads(updated.body)) == ("PATCH", {"secrets": None})
    assert updated.headers["if-match"] == '"3"'
    assert (deleted.method, deleted.headers["if-match"]) == ("DELETE", '"4"')


def test_a_time_without_a_zone_is_not_guessed() -> None:
    with pytest.raises(InvalidArgument):
        operations.create_token("u", "t", expires_at=datetime(2030, 1, 1))


def test_many_images_are_asked_in_parts_and_answered_as_one(talk: Talk) -> None:
    def part(image: str) -> Scripted:
        result: dict[str, object] = {
            "image": image,
            "match": None,
            "candidates": [],
            "reason": "No record.",
        }
        return answer({"results": [result], "unmatched": [image], "malformed": []})

    images = [f"app{number}" for number in range(10_001)]
    with talk(part("first"), part("second")) as (client, server):
        matches = client.registries.match(images)
    sent = [json.loads(request.body)["images"] for request in server.requests]
    assert [len(part) for part in sent] == [10_000, 1]
    assert sent[0] + sent[1] == images
    assert matches.unmatched == ("first", "second")
    assert [result.image for result in matches.results] == ["first", "second"]


def test_pages_are_followed_by_their_token_and_never_to_another_address(talk: Talk) -> None:
    link = '<https://elsewhere.example/x?page=t%2F2&per_page=1>; rel="next"'
    with talk(answer([RECORD], Link=link), answer([RECORD | {"id": "quay"}])) as (client, server):
        assert [record.id for record in client.registries.iterate(1)] == ["ghcr", "quay"]
    assert [request.target for request in server.requests] == [
        "/orgs/acme/registries?per_page=1",
        "/orgs/acme/registries?per_page=1&page=t%2F2",
    ]


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("", None),
        ("</orgs/acme/registries?page=b>; rel=next", "b"),
        ('</orgs/acme/registries?page=b>; title="a; b, c"; rel="last next"', "b"),
        ('</?page=a>; rel="prev", </?page=c>; rel="next"', "c"),
        ('</?page=a>; rel="nextish"', None),
        ('</?per_page=2>; rel="next"', None),
        ("garbage, <>;;", None),
    ],
)
def test_link_headers(link: str, page: str | None) -> None:
    assert next_page(link) == page


def test_what_a_newer_server_adds_is_ignored_and_times_are_utc(talk: Talk) -> None:
    newer = RECORD | {"type": "new_kind", "colour": "red", "created_at": "2030-01-31T12:00:00Z"}
    with talk(answer(newer, ETag='"7"')) as (client, _):
        record = client.registries.get("ghcr")
    assert record.type == "new_kind"
    assert record.created_at == datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert record.etag == '"7"'


def test_no_value_shows_its_secret(talk: Talk) -> None:
    creds = answer({"registry": "ghcr.io", "username": "u", "password": "hunter2"})
    token = answer({"token": "ppt_hunter2", "type": "static"})
    with talk(creds, token, token="ppt_hunter2") as (client, _):
        found = client.registries.creds("ghcr")
        issued = client.tokens.create("u", "t")
    assert found.password is not None
    assert found.password.reveal() == "hunter2"
    assert issued.token.reveal() == "ppt_hunter2"
    sent = operations.create_registry("acme", {"creds": {"password": Secret("hunter2")}})
    for value in (found, issued, client, sent, found.password):
        assert "hunter2" not in f"{value!r} {value!s} {value}"
    with pytest.raises(TypeError):
        pickle.dumps(found)
