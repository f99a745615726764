"""The database is locked, gone or paused: clear answers, nothing lost, and no restart needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import Say
from tests.parts.api_client import ApiClient, eventually
from tests.parts.load import Load
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, pullpass_server

ROUNDS = 3


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def on_postgres(cluster: PostgresCluster, tmp_path: Path) -> Iterator[PullpassServer]:
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
        with paused(cluster):
            assert_unavailable(client.create("during", "during.io"))
        eventually(lambda: client.password_for("before.io/a"), "pw")
        eventually(lambda: client.create("after", "after.io").status_code, 201)


def test_postgresql_is_stopped_crashed_and_paused_under_load(
    on_postgres: PullpassServer, cluster: PostgresCluster, say: Say
) -> None:
    with Load([on_postgres]) as load:
        for _ in range(ROUNDS):
            load.wait_for(20)
            cluster.stop("fast")
            cluster.start()
            load.wait_for(20)
            cluster.stop("immediate")
            cluster.start()
            load.wait_for(20)
            with paused(cluster):
                load.wait_for_refusals(1)
        load.wait_for(20)
    with ApiClient(on_postgres) as client:
        load.book.check(client)
    entries = load.book.check_log(on_postgres)
    verified = on_postgres.local("audit", "verify")
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout
    say(
        f"{ROUNDS} x PostgreSQL restarted, crashed and paused, the server never restarted; "
        f"calls: {load.book.told()}; all {load.book.acknowledged} acknowledged ones are among "
        f"the {entries} entries of the audit log, which is whole"
    )


@contextmanager
def paused(cluster: PostgresCluster) -> Iterator[None]:
    cluster.pause()
    try:
        yield
    finally:
        cluster.resume()
