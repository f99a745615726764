"""HTTPS by uvicorn, with a certificate that may be exchanged while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

from pullpass.agent.webhook.review import Malformed

PATH = "/mutate"
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# An object may have 3 MiB on its way to etcd; the review around it is small.
_LONGEST_BODY = 4 * 1024 * 1024
_BODY_SECONDS = 5
# API servers close what is idle for 90 seconds (net/http's IdleConnTimeout): a server that is the
# first to close would break a request that is on its way.
_IDLE_SECONDS = 120
_LAST_SECONDS = 3
_MOST_AT_ONCE = 1000


class Refused(Exception):
    """The request is not answered; ``status`` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # They are the agent's.
        yield


def listen(host: str, port: int) -> socket.socket:
    """Raises OSError where the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only where the protocol is named: 40 ms for each answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


async def serve(
    listening: socket.socket,
    context: ssl.SSLContext,
    answer: Callable[[bytes], Awaitable[bytes]],
) -> None:
    """POST of a body to ``PATH`` is answered by ``answer``, until cancelled: then what has begun is
    ended.
    """
    server = _Server(
        uvicorn.Config(
            _application(answer),
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            ssl_context_factory=lambda config, default: context,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve([listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving


def _application(
    answer: Callable[[bytes], Awaitable[bytes]],
) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    async def application(scope: Message, receive: Receive, send: Send) -> None:
        try:
            status, body = 200, await answer(await _body(scope, receive))
        except (Refused, Malformed) as error:
            status = error.status if isinstance(error, Refused) else 400
            body = json.dumps({"error": str(error)}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


async def _body(scope: Message, receive: Receive) -> bytes:
    if scope["path"] != PATH:
        raise Refused(404, f"The webhook is at {PATH}.")
    if scope["method"] != "POST":
        raise Refused(405, "The webhook takes POST only.")
    parts = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "The request ended early.")
                parts += message.get("body", b"")
                if len(parts) > _LONGEST_BODY:
                    raise Refused(413, f"The body is longer than {_LONGEST_BODY} bytes.")
                if not message.get("more_body"):
                    return bytes(parts)
    except TimeoutError:
        raise Refused(408, f"The body did not come in {_BODY_SECONDS} seconds.") from None
