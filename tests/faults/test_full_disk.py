"""The disk of the database is full: clear refusals, no credential without its entry in the audit
log, and all goes on as soon as there is room again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import httpx
import pytest

from tests.faults.conftest import Say
from tests.parts.api_client import ApiClient, eventually
from tests.parts.load import Load
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, pullpass_server
from tests.parts.small_disk import SmallDisk, small_disk

ROUNDS = 3
IMAGES = {"images": ["kept.io/app"]}


@pytest.fixture
def disk(kind: str) -> Iterator[SmallDisk]:
    with small_disk(8 if kind == "sqlite" else 128) as found:
        yield found


@pytest.fixture
def database_env(kind: str, disk: SmallDisk) -> Iterator[Mapping[str, str]]:
    """The settings of a server whose database is on the small disk."""
    with ExitStack() as stack:
        env = {}
        if kind == "postgresql":
            cluster = PostgresCluster(disk.path / "cluster")
            stack.callback(cluster.stop, "immediate")
            env["PULLPASS_DATABASE"] = cluster.url(cluster.create_database())
        yield env
        disk.free()


@pytest.fixture
def server(database_env: Mapping[str, str], disk: SmallDisk) -> Iterator[PullpassServer]:
    # Logs go beside the data, to another disk.
    with pullpass_server(disk.path / "data", env=database_env) as running:
        yield running


def test_a_full_disk_refuses_and_loses_nothing(
    server: PullpassServer, disk: SmallDisk, say: Say
) -> None:
    with ApiClient(server) as client:
        assert client.create("kept", "kept.io").status_code == 201
        with Load([server]) as load:
            for _ in range(ROUNDS):
                load.wait_for(20)
                disk.fill()
                load.wait_for_refusals(20)
                assert_reads_go_on(server, client)
                disk.free()
            load.wait_for(20)
            disk.fill()
            load.wait_for_refusals(1)
            # Nothing half-written comes to light where it ends without warning, either.
            server.kill()
            disk.free()
            server.start()
            load.wait_for(20)
        load.book.check(client)
    entries = load.book.check_log(server)
    verified = server.local("audit", "verify")
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout
    say(
        f"{ROUNDS + 1} x disk full, once with kill -9; calls: {load.book.told()}; all "
        f"{load.book.acknowledged} acknowledged ones are among the {entries} entries of the audit "
        "log, which is whole"
    )


def assert_reads_go_on(server: PullpassServer, client: ApiClient) -> None:
    """What needs no entry in the audit log is answered; a refusal says why."""
    assert client.call("GET", "registries/kept").status_code == 200
    matched = client.call("POST", "registries/actions/match", json=IMAGES)
    assert matched.json()["results"][0]["match"]["id"] == "kept", matched.text
    assert httpx.get(f"{server.url}/health/live").status_code == 200
    refused: list[httpx.Response] = []

    def is_refused() -> bool:
        answer = client.call("GET", "registries/kept/creds")
        refused.append(answer)
        return answer.status_code == 503

    # What was reserved before may be used up first.
    eventually(is_refused, True)
    assert refused[-1].json()["code"] == "store_unavailable"
    assert "full" in refused[-1].json()["error"]
    assert "password" not in refused[-1].json()
