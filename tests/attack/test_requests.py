"""Requests that are not what they look like: paths, bodies, numbers, compression, line breaks."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse

import pytest

from tests.api.conftest import Api
from tests.parts.server import PullpassServer, pullpass_server

RECORD = {"id": "ghcr", "registry": "ghcr.io", "type": "public"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path_factory.mktemp("requests") / "data") as running:
        yield running


def send(server: PullpassServer, target: str, *fields: str) -> tuple[int, bytes]:
    """A GET of ``target`` exactly as it is written, which no client library sends."""
    lines = (
        f"GET {target} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {server.admin_token}",
        *fields,
        "",
        "",
    )
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=60)) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


@pytest.mark.parametrize(
    "path",
    [
        "/orgs/acme/registries/../users",
        "/orgs/rival/../acme/registries",
        "/orgs/acme/registries/%2e%2e/users",
        "/orgs/acme/registries/%2e%2e%2fusers",
        "/orgs/acme/registries/..%2Fusers",
        "/orgs/acme/registries/%252e%252e%252fusers",
        "/orgs/acme%252Fregistries",
        "/orgs/acme/registries%00",
        "/orgs/acme/registries/%00",
        "/orgs/acme/registries/a%00b",
        "/orgs/acme/registries/;x",
        "/orgs/acme/registries/%0d%0aX-Injected:%20yes",
        "/orgs/acme/./registries",
        "/orgs//acme/registries",
        "/orgs/%61cme%20/registries",
        "/orgs/acme\\registries",
        "/orgs/acme/registries/%ff%fe",
        "/orgs/acme/registries/%c0%ae%c0%ae",
        "/health/live/../../orgs/acme/users",
        "/ui/../orgs/acme/users",
        "/ui/assets/../../../etc/passwd",
        "/ui/assets/%2e%2e%2f%2e%2e%2fpyproject.toml",
    ],
)
def test_a_path_means_what_it_says_or_nothing(server: PullpassServer, path: str) -> None:
    status, content = send(server, path)
    assert status in (400, 404), content[:300]
    assert b"root:" not in content
    assert b"[project]" not in content
    assert b"Traceback" not in content
    assert "unexpected error" not in server.log_text()


def test_a_percent_encoded_id_is_the_id(server: PullpassServer) -> None:
    plain = send(server, "/orgs/acme/registries")
    for path in ("/orgs/%61cme/registries", "/orgs/acme%2Fregistries"):
        assert send(server, path) == plain


async def test_a_line_break_in_a_value_stays_in_the_value(api: Api) -> None:
    for value in ["x\ny", "x\r\nX-Injected: yes", "x\x0by", "x\x1b[31my", "x\u2028y", "x\x85y"]:
        await no_line_is_broken(api, value)
    answer = await api.call("GET", "/health/live", headers={"X-Request-Id": "x y"})
    assert answer.headers["x-request-id"] != "x y"


async def no_line_is_broken(api: Api, value: str) -> None:
    for body in (
        {**RECORD, "id": value},
        {**RECORD, "registry": f"ghcr.io/{value}"},
        {**RECORD, "type": value},
        {**RECORD, value: 1},
    ):
        answer = await api.call("POST", "/orgs/acme/registries", json=body)
        assert answer.status_code == 400
        assert "x-injected" not in answer.headers
        assert "\n" not in answer.text
    for query in ("image", "since", "page", "per_page"):
        answer = await api.call("GET", "/orgs/acme/image-creds", params={query: value})
        assert answer.status_code == 400
        assert "x-injected" not in answer.headers


def test_no_input_breaks_a_line_of_the_log(server: PullpassServer) -> None:
    forged = '{"event": "request", "forged": true}'
    encoded = "".join(f"%{byte:02x}" for byte in f"\n{forged}\r\n".encode())
    send(server, f"/orgs/acme/registries/{encoded}")
    send(server, f"/orgs/{encoded}/registries")
    send(server, f"/orgs/acme/image-creds?image={encoded}")
    send(server, "/current-user", f"User-Agent: {forged}", f"X-Request-Id: {forged}")
    lines = [json.loads(line) for line in server.log_text().splitlines()]
    assert not any("forged" in line for line in lines)
    assert any("forged" in str(line.get("path")) for line in lines)


SQL = (
    "' OR '1'='1",
    "'; DROP TABLE records; --",
    '" OR ""="',
    "ghcr%",
    "_hcr",
    "ghcr\\",
    "1) UNION SELECT value FROM settings --",
)


async def test_sql_in_a_value_is_a_value(api: Api) -> None:
    assert (await api.create(**RECORD)).status_code == 201
    for value in SQL:
        await is_a_value(api, value)
    [kept] = (await api.call("GET", "/orgs/acme/registries")).json()
    assert kept["id"] == "ghcr"


async def is_a_value(api: Api, value: str) -> None:
    for path in (
        f"/orgs/acme/registries/{value}",
        f"/orgs/{value}/registries",
        f"/users/{value}/tokens",
        f"/orgs/acme/clusters/{value}",
    ):
        answer = await api.call("GET", path.replace("%", "%25").replace("\\", "%5C"))
        assert answer.status_code in (400, 403, 404), path
    for name in ("image", "host"):
        answer = await api.call("GET", f"/orgs/acme/{name}-creds", params={name: value})
        assert answer.status_code in (400, 404)
    for name in ("page", "since", "cluster"):
        answer = await api.call("GET", "/orgs/acme/registries", params={name: value})
        assert answer.status_code in (200, 400)


AMBIGUOUS = (
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"id": ' + "[" * 50_000 + "]" * 50_000 + "}",
    '{"id": "ghcr", "id": "other", "registry": "ghcr.io", "type": "public"}',
    '{"id": "ghcr", "registry": "ghcr.io", "type": "public", "creds": {"a": 1, "a": 2}}',
    '{"id": "ghcr", "\\u0069d": "other", "registry": "ghcr.io", "type": "public"}',
    '{"enable_ci": ' + "9" * 200_000 + "}",
    '{"enable_ci": 1e999999}',
    '{"enable_ci": NaN}',
    '{"id": "\\ud800"}',
    '{"id": "ghcr"} {"id": "other"}',
    "\ufeff{}",
    '{"id": "ghcr\\u0000", "registry": "ghcr.io", "type": "public"}',
)


async def test_json_that_parsers_differ_on_is_refused(api: Api) -> None:
    for text in AMBIGUOUS:
        answer = await api.call("POST", "/orgs/acme/registries", content=text.encode())
        assert answer.status_code == 400, text[:80]
        assert answer.json()["code"] in ("malformed_json", "invalid_fields")
        assert len(answer.content) < 10_000
    assert (await api.call("GET", "/orgs/acme/registries")).json() == []


async def test_a_packed_body_is_not_unpacked(api: Api) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        headers = {"Content-Encoding": encoding}
        answer = await api.call("POST", "/orgs/acme/registries", content=bomb, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_many_wrong_fields_make_no_huge_answer(api: Api) -> None:
    body = json.dumps({**RECORD, **{f"f{number}": 1 for number in range(80_000)}})
    answer = await api.call("POST", "/orgs/acme/registries", content=body.encode())
    assert answer.status_code == 400
    assert len(answer.content) < 100_000
    assert "more" in answer.json()["error"]
    images = [f"Bad Image {number}" for number in range(10_000)]
    answer = await api.call("POST", "/orgs/acme/docker-config", json={"images": images})
    assert answer.status_code == 400
    assert len(answer.content) < 100_000


async def test_a_body_that_is_too_large_is_refused_whatever_it_declares(api: Api) -> None:
    answer = await api.call("POST", "/orgs/acme/registries", content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
