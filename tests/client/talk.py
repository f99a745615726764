"""A client and the scripted server that it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pullpass.client.sync import Client
from tests.parts.wire import Scripted, WireServer, wire_server


class Sleeps(list[float]):
    """Stands for time.sleep: keeps what it was asked for, and returns at once."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@contextmanager
def talk(
    *script: Scripted,
    token: str = "ppt_not-a-real-one",
    timeout: float = 30,
    sleeps: Sleeps | None = None,
) -> Iterator[tuple[Client, WireServer]]:
    with (
        wire_server(*script) as server,
        Client(
            server.url, "acme", token, timeout=timeout, sleep=Sleeps() if sleeps is None else sleeps
        ) as client,
    ):
        yield client, server
