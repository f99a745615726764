"""What every request passes: its id, its size and pace, its log line, its metrics, and the last
safety net.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Sequence

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pullpass.api.errors import BodyTooSlow, body, internal_error
from pullpass.api.forwarded import Network, client_address
from pullpass.api.metrics import Metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_CLIENT_CLOSED = 499
MAX_HEAD = 32 * 1024
# What a browser may do with an answer: nothing, unless a page says otherwise of itself
# (https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html).
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_log = structlog.get_logger("pullpass.access")


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        trusted_proxies: Sequence[Network] = (),
        client_seconds: float = 30,
    ) -> None:
        self._client_seconds = client_seconds
        self._app = app
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = Headers(scope=scope)
        request_id = _request_id(given.get("x-request-id"))
        if self._trusted_proxies and scope.get("client"):
            peer, port = scope["client"]
            forwarded = ",".join(given.getlist("x-forwarded-for"))
            scope["client"] = (client_address(peer, forwarded, self._trusted_proxies), port)
        # Clients of the compatible API join a base URL that ends in a slash with the path.
        if scope["path"].startswith("//"):
            scope["path"] = "/" + scope["path"].lstrip("/")
        state = scope.setdefault("state", {})
        state["operation"] = "none"
        state["request_id"] = request_id
        status = 0
        receive_in_time = self._in_time(receive, lambda: bool(status))

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = message["headers"]
                names = {name for name, _ in answered}
                message["headers"] = [
                    *answered,
                    (b"x-request-id", request_id.encode()),
                    *(each for each in _HEADERS if each[0] not in names),
                ]
            if not message.get("more_body"):
                await send(message)
                return
            try:
                async with asyncio.timeout(self._client_seconds):
                    await send(message)
            except TimeoutError:
                # Whoever does not read is treated as one who went away.
                raise ClientDisconnect from None

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                if _size(scope) > MAX_HEAD:
                    state["code"] = "headers_too_large"
                    await _too_large()(scope, receive, send_with_headers)
                else:
                    await self._app(scope, receive_in_time, send_with_headers)
            except ClientDisconnect:
                status = _CLIENT_CLOSED
            except Exception:
                # The last resort: whatever was not foreseen is logged, and never shown.
                _log.exception("unexpected error", operation=state["operation"])
                if not status:
                    await internal_error()(scope, receive, send_with_headers)
                status = 500
            seconds = time.perf_counter() - began
            self._metrics.answered(state["operation"], status, seconds)
            _log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                operation=state["operation"],
                status=status,
                milliseconds=round(seconds * 1000, 2),
                user=state.get("user"),
                subject=state.get("subject"),
                code=state.get("code"),
            )

    def _in_time(self, receive: Receive, answered: Callable[[], bool]) -> Receive:
        """``receive``, but a body that is not there in time is an error; after the answer has
        begun, it is as if the client went away.
        """
        deadline = 0.0
        whole = False

        async def receive_in_time() -> Message:
            nonlocal deadline, whole
            if whole:
                return await receive()
            deadline = deadline or asyncio.get_running_loop().time() + self._client_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                if answered():
                    return {"type": "http.disconnect"}
                raise BodyTooSlow(
                    f"The body did not arrive within {self._client_seconds:g} s."
                ) from None
            whole = not message.get("more_body")
            return message

        return receive_in_time


def _size(scope: Scope) -> int:
    """Of what comes before the body, in bytes, but for what separates it."""
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["path"]) + len(scope["query_string"]) + fields


def _too_large() -> Response:
    return body(
        431, f"The path and the headers are larger than {MAX_HEAD} bytes.", "headers_too_large"
    )


def _request_id(given: str | None) -> str:
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return secrets.token_hex(16)
