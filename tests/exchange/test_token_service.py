"""What a token service may answer that no HTTP library for servers would let it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Outgoing


@asynccontextmanager
async def answering(head: str) -> AsyncIterator[str]:
    """The address of a service that answers everything with ``{}`` under these headers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{head}\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def service() -> TokenService:
    guard = AddressGuard(parse_networks("127.0.0.0/8"))
    return TokenService(guard, ssl.create_default_context())


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Thu, 99999999999999999999 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 2026 00:00:00 +99999999999999",
        "yesterday",
    ],
)
async def test_a_date_that_is_none_says_nothing_of_the_clock(
    service: TokenService, date: str
) -> None:
    async with answering(f"Date: {date}") as url:
        assert (await service.call("It", url, Outgoing())).date is None


@pytest.mark.parametrize("path", ["/\x01", "/\x7f", "/" + "a" * 70_000])
async def test_an_address_that_no_request_can_hold(service: TokenService, path: str) -> None:
    async with answering("Date: now") as url:
        with pytest.raises(ExchangeUnavailable, match="too long, or holds control characters"):
            await service.call("It", url + path, Outgoing())


async def test_a_host_is_written_in_ascii(service: TokenService) -> None:
    with pytest.raises(ExchangeRejected, match="not an http"):
        await service.call("It", "https://bücher.example/", Outgoing())
