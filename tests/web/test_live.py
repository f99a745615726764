"""Who is still told that something has changed, on a page that is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.web.test_operating_pages import report, tell
from tests.web.visitor import HOME, Visitor


@asynccontextmanager
async def open_events(visitor: Visitor, path: str) -> AsyncIterator[asyncio.Queue[str | None]]:
    """The parts of an answer as they come, and None at its end. The test client would give the
    whole of it.
    """
    transport = visitor.api.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    parts: asyncio.Queue[str | None] = asyncio.Queue()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    requests: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        # Who reads on never goes away.
        return await asyncio.Future[dict[str, Any]]()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        else:
            await parts.put(message["body"].decode())

    async def answer() -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"since=nothing",
            "headers": [(b"host", b"pullpass"), (b"cookie", cookies.encode())],
            "client": ("192.0.2.1", 1),
            "server": ("pullpass", 80),
        }
        await transport.app(scope, receive, send)
        await parts.put(None)

    task = asyncio.create_task(answer())
    try:
        yield parts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def rest_of(parts: asyncio.Queue[str | None]) -> str:
    found = ""
    while (part := await parts.get()) is not None:
        found += part
    return found


async def test_whose_role_is_too_small_from_now_on_is_told_no_more(admin: Visitor) -> None:
    user = {"name": "Jo", "role": "reader", "type": "user"}
    user_id = (await admin.api.call("POST", "/orgs/acme/users", json=user)).json()["id"]
    reader = Visitor(admin.api)
    await reader.sign_in(await admin.api.token_of(user_id))
    async with open_events(reader, f"{HOME}/cluster-events") as parts:
        assert (await parts.get() or "").startswith("retry:")
        assert "event: changed" in (await parts.get() or "")
        role = {"role": "puller"}
        await admin.api.call("PATCH", f"/orgs/acme/users/{user_id}", json=role)
        await tell(admin, "eu-1", report())
        assert "event:" not in await rest_of(parts)
