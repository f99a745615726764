"""The SDK beside bare httpx, on one server in one run: what it adds to a call.

    python -m bench.sdk [CALLS]

Prints a table and one line of JSON. Both sides ask for the same, with connections that stay open,
in turns; the bare side decodes the JSON and nothing else. ``cpu`` is the time of this process,
without the server's and without waiting, so that it holds on a busy machine; the ratios are the
SDK's time by httpx's. ``concurrent`` is 16 tasks at a time on one event loop.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from pullpass.client import AsyncClient, Client
from tests.parts.server import PullpassServer, pullpass_server

IMAGE = "ghcr.io/acme/app:1.2"
TASKS = 16
TURNS = 20


class Times:
    """Seconds per call of each turn, by side."""

    def __init__(self) -> None:
        self._cpu: dict[str, list[float]] = {}
        self._wall: dict[str, list[float]] = {}

    @contextmanager
    def turn(self, side: str, calls: int) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._cpu.setdefault(side, []).append((time.process_time() - cpu) / calls)
        self._wall.setdefault(side, []).append((time.perf_counter() - wall) / calls)

    def result(self) -> dict[str, float]:
        # The first turn opens the connections.
        sdk, bare = self._cpu["sdk"][1:], self._cpu["httpx"][1:]
        return {
            "sdk_cpu_us": round(statistics.median(sdk) * 1e6, 1),
            "httpx_cpu_us": round(statistics.median(bare) * 1e6, 1),
            "overhead_cpu_us": round(
                statistics.median(a - b for a, b in zip(sdk, bare, strict=True)) * 1e6, 1
            ),
            "cpu_ratio": ratio(sdk, bare),
            "wall_ratio": ratio(self._wall["sdk"][1:], self._wall["httpx"][1:]),
        }


def ratio(sdk: list[float], bare: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(sdk, bare, strict=True)), 3)


def in_turns(calls: int, ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    times, each = Times(), max(1, calls // TURNS)
    for _ in range(TURNS + 1):
        for side, call in ways.items():
            with times.turn(side, each):
                for _ in range(each):
                    call()
    return times.result()


async def in_turns_async(
    calls: int, ways: dict[str, Callable[[], Awaitable[object]]], tasks: int
) -> dict[str, float]:
    times, each = Times(), max(1, calls // TURNS // tasks)

    async def work(call: Callable[[], Awaitable[object]]) -> None:
        for _ in range(each):
            await call()

    for _ in range(TURNS + 1):
        for side, call in ways.items():
            with times.turn(side, each * tasks):
                await asyncio.gather(*(work(call) for _ in range(tasks)))
    return times.result()


def synchronous(server: PullpassServer, calls: int, headers: dict[str, str]) -> dict[str, float]:
    base = f"{server.url}/orgs/acme"
    with (
        Client(server.url, "acme", server.admin_token) as client,
        httpx.Client(headers=headers, trust_env=False) as http,
    ):

        def bare() -> object:
            return http.get(f"{base}/image-creds", params={"image": IMAGE}).json()

        return in_turns(calls, {"sdk": lambda: client.image_creds(IMAGE), "httpx": bare})


async def asynchronous(
    server: PullpassServer, calls: int, headers: dict[str, str], tasks: int
) -> dict[str, float]:
    base = f"{server.url}/orgs/acme"
    async with (
        AsyncClient(server.url, "acme", server.admin_token) as client,
        httpx.AsyncClient(headers=headers, trust_env=False) as http,
    ):

        async def bare() -> object:
            return (await http.get(f"{base}/image-creds", params={"image": IMAGE})).json()

        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "sdk": lambda: client.image_creds(IMAGE),
            "httpx": bare,
        }
        return await in_turns_async(calls, ways, tasks)


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    with (
        tempfile.TemporaryDirectory(prefix="pullpass-bench-") as folder,
        pullpass_server(Path(folder) / "data") as server,
    ):
        with Client(server.url, "acme", server.admin_token) as client:
            client.registries.create(
                {
                    "id": "ghcr",
                    "registry": "ghcr.io/acme",
                    "type": "basic",
                    "creds": {"username": "bot", "password": "x" * 40},
                }
            )
        headers = {"Authorization": f"Bearer {server.admin_token}"}
        result = {
            "sync": synchronous(server, calls, headers),
            "async": asyncio.run(asynchronous(server, calls, headers, 1)),
            "concurrent": asyncio.run(asynchronous(server, calls, headers, TASKS)),
        }
    names = ["sdk_cpu_us", "httpx_cpu_us", "overhead_cpu_us", "cpu_ratio", "wall_ratio"]
    print(f"{'':<12}" + "".join(f"{name:>17}" for name in names))
    for kind, row in result.items():
        print(f"{kind:<12}" + "".join(f"{row[name]:>17}" for name in names))
    print(json.dumps({"calls": calls, **result}))


if __name__ == "__main__":
    main()
