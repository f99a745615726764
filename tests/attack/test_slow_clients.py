"""Clients that take their time, on bare sockets: each is ended, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.client import HTTPResponse

import httpx
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from pullpass.api.edge import Edge
from pullpass.api.metrics import Metrics
from tests.parts.api_client import ApiClient
from tests.parts.server import PullpassServer, pullpass_server

CONNECTIONS = 6


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    env = {
        "PULLPASS_CLIENT_TIMEOUT_SECONDS": "2",
        "PULLPASS_MAX_CONNECTIONS": str(CONNECTIONS),
    }
    with pullpass_server(tmp_path_factory.mktemp("slow") / "data", env=env) as running:
        yield running


def connect(server: PullpassServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def head(server: PullpassServer, method: str, path: str, *fields: str) -> bytes:
    token = f"Authorization: Bearer {server.admin_token}"
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", token, *fields, "", "")
    return "\r\n".join(lines).encode()


def is_ended(connection: socket.socket) -> bool:
    """Waits until the server ends the connection; whatever it sends before is dropped."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def read(connection: socket.socket) -> tuple[int, bytes]:
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /health/live HTTP/1.1\r\n", b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-"],
    ids=["nothing", "a line", "half a header"],
)
def test_headers_that_do_not_come_end_the_connection(server: PullpassServer, sent: bytes) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(sent)
        assert is_ended(connection)


def test_headers_that_trickle_end_the_connection(server: PullpassServer) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        connection.settimeout(0.2)
        try:
            # At this pace it would take longer than the test may.
            for number in range(1000):
                connection.sendall(b"X-%d: y\r\n" % number)
                try:
                    if not connection.recv(4096):
                        return
                except TimeoutError:
                    continue
        except ConnectionError:
            return
    pytest.fail("the connection was kept")


def test_a_connection_that_is_idle_after_an_answer_is_ended(server: PullpassServer) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(head(server, "GET", "/current-user"))
        assert read(connection)[0] == 200
        assert is_ended(connection)


@pytest.mark.parametrize("field", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_is_not_whole_in_time_is_refused(server: PullpassServer, field: str) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(head(server, "POST", "/orgs/acme/registries", field))
        connection.sendall(b"1\r\n{\r\n" if "chunked" in field else b"{")
        status, content = read(connection)
        assert (status, json.loads(content)["code"]) == (408, "body_too_slow")
        assert is_ended(connection)
    with ApiClient(server) as client:
        assert client.call("GET", "registries").json() == []


def test_a_body_that_trickles_is_refused(server: PullpassServer) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(head(server, "POST", "/orgs/acme/registries", "Content-Length: 100000"))
        connection.settimeout(0.2)
        content = b""
        for _ in range(1000):
            connection.sendall(b" ")
            try:
                content = connection.recv(4096)
                break
            except TimeoutError:
                continue
        assert content.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("path", "fields", "statuses"),
    [
        ("/current-user", [f"X-Big: {'a' * 40_000}"], {431}),
        ("/current-user", [f"X-Big: {'a' * 1_000_000}"], {431}),
        ("/current-user", [f"X-{number}: a" for number in range(200)], {431}),
        (f"/current-user?{'a' * 40_000}", [], {431}),
        (f"/{'a' * 100_000}", [], {414}),
    ],
    ids=["big", "huge", "many", "long query", "long path"],
)
def test_what_comes_before_the_body_has_a_bound(
    server: PullpassServer, path: str, fields: list[str], statuses: set[int]
) -> None:
    with closing(connect(server)) as connection:
        try:
            connection.sendall(head(server, "GET", path, *fields))
            status = read(connection)[0]
        except ConnectionError:
            # It was ended before all was sent, or read: as good.
            return
        assert status in statuses


def test_connections_beyond_the_bound_wait_and_then_get_their_answer(
    server: PullpassServer,
) -> None:
    idle = [connect(server) for _ in range(CONNECTIONS * 3)]
    try:
        answer = httpx.get(f"{server.url}/health/live", timeout=60)
        assert answer.status_code == 200
    finally:
        for connection in idle:
            connection.close()


async def test_whoever_reads_no_part_of_an_answer_is_let_go() -> None:
    """At the ASGI interface: there a server waits where the socket and its buffers are full."""
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            ended.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(endless())(scope, receive, send)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await asyncio.wait_for(Edge(app, Metrics(), client_seconds=0.1)(scope, receive, send), 30)
    # Nothing holds on to what made the answer.
    gc.collect()
    await asyncio.wait_for(ended.wait(), 30)
