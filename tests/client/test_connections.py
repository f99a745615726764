"""Connections: how many a client opens, and what becomes of one whose call is cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pullpass.client import AsyncClient, Client, errors
from tests.client.talk import Talk
from tests.parts.api_client import eventually
from tests.parts.wire import Scripted, answer, refusal, wire_server

TOKEN = "ppt_not-a-real-one"
RECORD = {"id": "ghcr", "registry": "ghcr.io", "type": "public", "enable_ci": False}


def test_calls_one_after_another_share_a_connection(talk: Talk) -> None:
    missing = refusal(404, "registry_not_found", "There is none.")
    with talk(answer(RECORD), missing, Scripted(204, b""), answer([RECORD])) as (client, server):
        client.registries.get("ghcr")
        with pytest.raises(errors.NotFound):
            client.registries.get("quay")
        client.registries.delete("ghcr")
        for _ in range(10):
            client.registries.list()
        assert server.connections == 1
        client.close()
        eventually(lambda: server.open_connections, 0)


def test_several_threads_use_one_client() -> None:
    found: list[str] = []
    with wire_server(answer(RECORD)) as server, Client(server.url, "acme", TOKEN) as client:

        def ask() -> None:
            found.extend(client.registries.get("ghcr").id for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections <= 4
    assert found == ["ghcr"] * 80


async def test_several_tasks_use_one_client() -> None:
    with wire_server(answer(RECORD)) as server:
        async with AsyncClient(server.url, "acme", TOKEN) as client:
            for _ in range(5):
                async with asyncio.TaskGroup() as tasks:
                    asked = [tasks.create_task(client.registries.get("ghcr")) for _ in range(8)]
                assert [task.result().id for task in asked] == ["ghcr"] * 8
        assert server.connections <= 8


async def test_a_cancelled_call_gives_its_connection_up_and_the_client_goes_on() -> None:
    with wire_server(Scripted(hang=True), answer(RECORD)) as server:
        async with AsyncClient(server.url, "acme", TOKEN) as client:
            call = asyncio.create_task(client.registries.get("ghcr"))
            await asyncio.to_thread(server.wait_for_request)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await client.registries.get("ghcr")).id == "ghcr"
        assert [request.method for request in server.requests] == ["GET", "GET"]
        assert server.connections == 2


async def test_a_cancelled_wait_sends_nothing_more() -> None:
    waiting = asyncio.Event()

    async def wait_for_ever(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    with wire_server(Scripted(503, b"busy")) as server:
        async with AsyncClient(server.url, "acme", TOKEN, sleep=wait_for_ever) as client:
            call = asyncio.create_task(client.registries.list())
            await waiting.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert len(server.requests) == 1


async def test_a_page_is_asked_for_when_it_is_reached() -> None:
    link = '</orgs/acme/registries?page=b>; rel="next"'
    with wire_server(answer([RECORD], Link=link)) as server:
        async with AsyncClient(server.url, "acme", TOKEN) as client:
            records = client.registries.iterate(1)
            assert (await anext(records)).id == "ghcr"
            assert len(server.requests) == 1
            await anext(records)
            assert len(server.requests) == 2
            await records.aclose()
