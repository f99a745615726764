"""Health and metrics over HTTP: three paths, answered by the event loop that does the work, so
that one which is stuck does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

Page = Callable[[], tuple[int, str, bytes]]

_PHRASES = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_LONGEST_HEAD = 16 * 1024
_SECONDS = 10


async def serve(host: str, port: int, pages: dict[str, Page]) -> asyncio.Server:
    """Answer GET and HEAD of ``pages``, by path: each gives status, media type and body.

    Raises:
        OSError: the address cannot be used.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, pages))
                await writer.drain()
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()

    return await asyncio.start_server(answer, host, port, limit=_LONGEST_HEAD)


def _response(head: bytes, pages: dict[str, Page]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0].decode("latin-1")
    page = pages.get(path)
    if method not in (b"GET", b"HEAD"):
        status, kind, body = 405, "text/plain", b"GET only.\n"
    elif page is None:
        status, kind, body = 404, "text/plain", f"Paths: {', '.join(pages)}\n".encode()
    else:
        status, kind, body = page()
    lines = [
        f"HTTP/1.1 {status} {_PHRASES[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == b"HEAD" else body)
