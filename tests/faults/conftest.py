"""What the tests of faults share: a PostgreSQL cluster to do harm to, databases, and a summary of
what was done and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pullpass.store.engine import Database
from pullpass.store.migrations import migrate
from tests.parts.postgres import PostgresCluster, postgres_cluster
from tests.parts.server import PullpassServer, pullpass_server

Say = Callable[[str], None]
_SAID = "said"
# What is short-lived upstream may be so here, and the stand-ins are on loopback.
LOOPBACK = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8", "PULLPASS_MIN_CREDENTIAL_SECONDS": "2"}


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Say:
    """Takes a line about what the test did, for the summary."""
    return lambda line: request.node.user_properties.append((_SAID, line))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        (report.nodeid.partition("::")[2], line)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, line in report.user_properties
        if name == _SAID
    ]
    if lines:
        terminalreporter.section("what was done and counted")
    for test, line in lines:
        terminalreporter.write_line(f"{test}: {line}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture
def cluster(postgres: PostgresCluster) -> Iterator[PostgresCluster]:
    """The cluster, running again after the test."""
    postgres.ensure_started()
    yield postgres
    postgres.resume()
    postgres.ensure_started()


@pytest.fixture
def postgres_url(cluster: PostgresCluster) -> str:
    return migrated(cluster.url(cluster.create_database()))


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of the two kinds of database, each in turn."""
    found: str = request.param
    return found


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a database of the newest schema, with nothing in it."""
    if kind == "sqlite":
        return migrated(f"sqlite:///{tmp_path}/pullpass.db")
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def database_env(kind: str, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The settings of a server on a new database."""
    if kind == "sqlite":
        return {}
    cluster: PostgresCluster = request.getfixturevalue("cluster")
    return {"PULLPASS_DATABASE": cluster.url(cluster.create_database())}


@pytest.fixture
def server(database_env: Mapping[str, str], tmp_path: Path) -> Iterator[PullpassServer]:
    """A server on each kind of database."""
    with pullpass_server(tmp_path / "data", env=database_env) as running:
        yield running


def migrated(url: str) -> str:
    async def prepare() -> None:
        database = await Database.open(url)
        await migrate(database)
        await database.close()

    asyncio.run(prepare())
    return url
