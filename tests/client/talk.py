"""A client, synchronous or asynchronous, and the scripted server that it talks to.

The tests of the client are written once, with the calls of the synchronous one; `connect` runs
them on both.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from pullpass.client.aio import AsyncClient
from pullpass.client.sync import Client
from tests.parts.wire import Scripted, WireServer, wire_server

Connect = Callable[..., AbstractContextManager[Client]]


class Sleeps(list[float]):
    """Stands for time.sleep: keeps what it was asked for, and returns at once."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Talk:
    """Calls are ``talk(ANSWER, …)``: a client, and the server that gives it these answers."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @contextmanager
    def __call__(
        self,
        *script: Scripted,
        token: str = "ppt_not-a-real-one",
        timeout: float = 30,
        sleeps: Sleeps | None = None,
    ) -> Iterator[tuple[Client, WireServer]]:
        with (
            wire_server(*script) as server,
            self._connect(
                server.url,
                "acme",
                token,
                timeout=timeout,
                sleep=Sleeps() if sleeps is None else sleeps,
            ) as client,
        ):
            yield client, server


def awaited(
    *arguments: Any, sleep: Callable[[float], None] | None = None, **options: Any
) -> AbstractContextManager[Client]:
    """An AsyncClient with the calls of a Client: each is awaited where it is made."""
    if sleep is not None:

        async def slept(seconds: float) -> None:
            sleep(seconds)

        options["sleep"] = slept
    return _running(AsyncClient(*arguments, **options))


@contextmanager
def _running(client: AsyncClient) -> Iterator[Client]:
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        try:
            yield cast(Client, _Awaiting(client, runner))
        finally:
            runner.run(client.__aexit__(None, None, None))


class _Awaiting:
    def __init__(self, target: object, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __repr__(self) -> str:
        return repr(self._target)

    def __getattr__(self, name: str) -> object:
        found = getattr(self._target, name)
        return self._called(found) if callable(found) else _Awaiting(found, self._runner)

    def _called(self, method: Callable[..., Any]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            result = method(*arguments, **options)
            if inspect.iscoroutine(result):
                return self._runner.run(result)
            return self._each(result)

        return call

    def _each(self, items: AsyncIterator[object]) -> Iterator[object]:
        async def following() -> object:
            return await anext(items)

        while True:
            try:
                yield self._runner.run(following())
            except StopAsyncIteration:
                return
