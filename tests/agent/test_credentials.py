"""Credentials are asked for ahead of their end, by the real expiry, and only where needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from pullpass.agent.credentials import Credentials
from pullpass.agent.records import Records
from pullpass.client.aio import AsyncClient
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

RECORD = {"id": "ecr", "registry": "r.example.com", "type": "amazon_ecr", "enable_ci": False}


class ShortLived(StandIn):
    """A Pullpass whose one credential ends ``life`` seconds after it is asked for."""

    life = 3.0
    issued = 0

    def handle(self, request: Received) -> Scripted:
        path = request.target.partition("?")[0]
        if path.endswith("/changes"):
            return Scripted(204, b"") if "since" in request.target else answer({"revision": 1})
        if path.endswith("/registries"):
            return answer([RECORD])
        self.issued += 1
        ends = datetime.now(UTC) + timedelta(seconds=self.life)
        return answer(
            {
                "registry": RECORD["registry"],
                "username": "AWS",
                "password": f"token-{self.issued}",
                "expires": ends.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
        )


@pytest.fixture
def server() -> Iterator[ShortLived]:
    with ShortLived() as running:
        # No busy loop, where a real server would wait.
        running.delay = 0.05
        yield running


@asynccontextmanager
async def following(
    server: ShortLived, *, needed: bool
) -> AsyncIterator[tuple[Credentials, list[str | None]]]:
    told: list[str | None] = []
    records = Records(lambda: AsyncClient(server.url, "acme", "token"), "prod")
    credentials = Credentials(records, "prod", told.append, lambda _: needed, soonest_renewal=0.1)
    task = asyncio.create_task(records.run())
    await records.loaded.wait()
    try:
        assert records.match("r.example.com/app:1") == "ecr"
        yield credentials, told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await credentials.close()
        await records.close()


async def until(told: list[str | None], count: int) -> None:
    async with asyncio.timeout(60):
        while told.count("ecr") < count:  # noqa: ASYNC110 - the list has no event
            await asyncio.sleep(0.01)


async def test_a_short_lived_credential_is_renewed_before_it_ends(server: ShortLived) -> None:
    async with following(server, needed=True) as (credentials, told):
        credentials.want("ecr")
        await until(told, 3)
        content = credentials.contents["ecr"]
        assert content.expires is not None
        assert content.expires > datetime.now(UTC)
        assert server.issued == 3
        assert "token" not in repr(content)


async def test_what_nobody_needs_is_not_renewed(server: ShortLived) -> None:
    async with following(server, needed=False) as (credentials, told):
        credentials.want("ecr")
        await until(told, 1)
        async with asyncio.timeout(60):
            while "ecr" in credentials.contents:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert server.issued == 1


async def test_an_upstream_that_fails_is_told_and_the_last_secret_stays(server: ShortLived) -> None:
    async with following(server, needed=True) as (credentials, told):
        credentials.want("ecr")
        await until(told, 1)
        before = credentials.contents["ecr"]
        refusal = {"error": "The cloud refuses the key.", "code": "upstream_rejected"}
        server.fault = Scripted(
            502, json.dumps(refusal).encode(), {"Content-Type": "application/json"}
        )
        async with asyncio.timeout(60):
            while "ecr" not in credentials.troubles:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert credentials.troubles["ecr"].code == "upstream_rejected"
        assert credentials.contents["ecr"] == before
        server.fault = None
        async with asyncio.timeout(60):
            while "ecr" in credentials.troubles:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert credentials.contents["ecr"] != before
