"""The database is locked, gone or killed: clear answers, nothing lost, and no restart needed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.parts.api_client import ApiClient, eventually
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, pullpass_server


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def on_postgres(cluster: PostgresCluster, tmp_path: Path) -> Iterator[PullpassServer]:
    cluster.ensure_started()
    env = {"PULLPASS_DATABASE": cluster.url(cluster.create_database())}
    with pullpass_server(tmp_path / "data", env=env) as server:
        yield server


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "store_unavailable"
    assert int(answer.headers["retry-after"]) >= 1


def test_a_locked_sqlite_file_is_a_503_and_leaves_no_trace(on_sqlite: PullpassServer) -> None:
    with ApiClient(on_sqlite) as client:
        client.create("before", "before.io")
        path = on_sqlite.data_dir / "pullpass.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert_unavailable(client.create("during", "during.io"))
            # Reading goes on beside a writer; but a credential that cannot be noted stays here.
            assert client.call("GET", "registries/before").status_code == 200
            assert_unavailable(client.call("GET", "registries/before/creds"))
            other.execute("ROLLBACK")
        assert client.password_for("before.io/a") == "pw"
        assert client.call("GET", "registries/during").status_code == 404
        assert client.create("during", "during.io").status_code == 201


def test_a_stopped_postgresql_is_a_503_until_it_is_back(
    on_postgres: PullpassServer, cluster: PostgresCluster
) -> None:
    with ApiClient(on_postgres) as client:
        client.create("before", "before.io")
        assert client.password_for("before.io/a") == "pw"
        cluster.stop()
        try:
            assert_unavailable(client.create("during", "during.io"))
            assert_unavailable(client.call("GET", "registries"))
            # A token that was revoked meanwhile could not be known: nothing is handed out.
            eventually(lambda: client.call("GET", "registries/before/creds").status_code, 503)
            assert httpx.get(f"{on_postgres.url}/health/live").status_code == 200
            ready = httpx.get(f"{on_postgres.url}/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        finally:
            cluster.start()
        eventually(lambda: client.password_for("before.io/a"), "pw")
        assert client.call("GET", "registries/during").status_code == 404
        assert client.create("during", "during.io").status_code == 201
        assert httpx.get(f"{on_postgres.url}/health/ready").status_code == 200
        eventually(lambda: "change feed reachable again" in on_postgres.log_text(), True)
    assert "change feed unreachable" in on_postgres.log_text()
    assert cluster.password not in on_postgres.log_text()


def test_a_paused_postgresql_does_not_hang_requests_for_ever(
    on_postgres: PullpassServer, cluster: PostgresCluster
) -> None:
    with ApiClient(on_postgres) as client:
        client.create("before", "before.io")
        cluster.pause()
        try:
            assert_unavailable(client.create("during", "during.io"))
        finally:
            cluster.resume()
        eventually(lambda: client.password_for("before.io/a"), "pw")
        eventually(lambda: client.create("after", "after.io").status_code, 201)


@pytest.mark.parametrize("server", ["on_sqlite", "on_postgres"])
def test_every_acknowledged_write_survives_kill_9(
    server: str, request: pytest.FixtureRequest
) -> None:
    running: PullpassServer = request.getfixturevalue(server)
    acknowledged: list[str] = []
    enough = threading.Event()

    def write(worker: int) -> None:
        with ApiClient(running) as client:
            for number in range(1000):
                name = f"w{worker}-{number}"
                try:
                    answer = client.create(name, f"{name}.io", password=f"pw-{name}")
                except httpx.TransportError:
                    return
                assert answer.status_code == 201
                acknowledged.append(name)
                if len(acknowledged) > 60:
                    enough.set()

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    running.kill()
    for writer in writers:
        writer.join()

    running.restart()
    with ApiClient(running) as client:
        listed = {record["id"] for record in client.call("GET", "registries").json()}
        assert set(acknowledged) <= listed
        for name in listed:
            creds = client.call("GET", f"registries/{name}/creds").json()
            assert creds["password"] == f"pw-{name}"
