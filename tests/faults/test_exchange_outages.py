"""Many ask at once, and the upstream is slow or away: one call for each record, the last good
credential until it ends, and no hammering. Three real servers, a stand-in at the wire.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import LOOPBACK, Say
from tests.parts.api_client import ApiClient, eventually
from tests.parts.aws import Aws, ecr_record
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, pullpass_server

REGION = "dkr.ecr.eu-west-1.amazonaws.com"
RECORDS = 10
REQUESTS = 600


@pytest.fixture
def replicas(cluster: PostgresCluster, tmp_path: Path) -> Iterator[list[PullpassServer]]:
    env = {
        **LOOPBACK,
        "PULLPASS_DATABASE": cluster.url(cluster.create_database()),
        "PULLPASS_MASTER_KEY_FILE": str(tmp_path / "master.key"),
        "PULLPASS_LOG_LEVEL": "warning",
    }
    with pullpass_server(tmp_path / "one", env=env) as one:
        token = one.admin_token
        with (
            pullpass_server(tmp_path / "two", env=env, admin_token=token) as two,
            pullpass_server(tmp_path / "three", env=env, admin_token=token) as three,
        ):
            yield [one, two, three]


def create_ecr(client: ApiClient, record: dict[str, object]) -> None:
    made = client.call("POST", "registries", json=record)
    assert made.status_code == 201, made.text


async def ask_all(replicas: list[PullpassServer], requests: int) -> Counter[tuple[str, str]]:
    """So many requests at once, over all replicas and records: what came back, by record.

    A connection each, by hand: the pools of HTTP clients take longer than the servers do.
    """

    async def ask(number: int) -> tuple[str, str]:
        server, record_id = replicas[number % len(replicas)], f"ecr-{number % RECORDS}"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"GET /orgs/acme/registries/{record_id}/creds HTTP/1.1\r\nHost: pullpass\r\n"
            f"Authorization: Bearer {server.admin_token}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer
        return record_id, json.loads(body)["password"]

    return Counter(await asyncio.gather(*(ask(number) for number in range(requests))))


def test_many_requests_on_three_replicas_are_one_upstream_call_a_record(
    replicas: list[PullpassServer], aws: Aws, say: Say
) -> None:
    action = "ecr:GetAuthorizationToken"
    # The last third has to be long enough for a busy machine to answer all of them once more.
    aws.lifetime = 60
    with ApiClient(replicas[0]) as client:
        for number in range(RECORDS):
            registry = f"{number + 100000000000}.{REGION}"
            create_ecr(client, ecr_record(aws, f"ecr-{number}", registry, number + 1))
    aws.delay = 0.3
    first = asyncio.run(ask_all(replicas, REQUESTS))
    assert aws.count(action) == RECORDS
    assert len(first) == RECORDS, "one credential for each record"

    # At 56 to 66 % of the lifetime every record is due, and its renewal is asked for once. While
    # the upstream holds the answers back, everybody is answered from the old credential.
    with aws.held():
        eventually(lambda: aws.count(action), 2 * RECORDS, seconds=120)
        second = asyncio.run(ask_all(replicas, REQUESTS))
        assert second.keys() == first.keys(), "nobody waited for a renewal"
        assert aws.count(action) == 2 * RECORDS
        assert len(aws.issued) == RECORDS, "the upstream has not answered yet"

    eventually(lambda: len(aws.issued), 2 * RECORDS)
    aws.delay = 0
    eventually(lambda: asyncio.run(ask_all(replicas, 30)).keys().isdisjoint(first.keys()), True)
    assert aws.count(action) == 2 * RECORDS
    say(
        f"{first.total() + second.total()} requests for {RECORDS} records on {len(replicas)} "
        f"servers: {2 * RECORDS} calls upstream, for the first credentials and their renewal"
    )


def test_an_outage_is_bridged_until_the_credential_ends_and_heals_by_itself(
    tmp_path: Path, aws: Aws, say: Say
) -> None:
    aws.lifetime = 8
    with pullpass_server(tmp_path / "data", env=LOOPBACK) as server, ApiClient(server) as client:
        create_ecr(client, ecr_record(aws))

        def creds() -> httpx.Response:
            return client.call("GET", "registries/ecr/creds")

        good = creds().json()["password"]
        aws.stop()
        asked: dict[str, float] = {}
        began = time.time()
        while (answer := creds()).status_code == 200:
            asked[answer.json()["password"]] = began
            time.sleep(0.05)
            began = time.time()
        assert asked.keys() == {good}
        # Served until its end, and not beyond: to the second, in which HTTP tells the time.
        assert asked[good] - 1 <= aws.issued[good] <= time.time() + 1
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unavailable")
        calls = len(aws.calls)
        for _ in range(20):
            assert creds().status_code == 502
        assert len(aws.calls) == calls
        aws.lifetime = 600
        aws.start()
        eventually(lambda: creds().status_code, 200, seconds=90)
        assert creds().json()["password"] != good
    say("away for longer than a credential lives: served to its end, then 502; back by itself")
