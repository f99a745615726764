"""Every test of the store runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pullpass.domain.identity import Organization, User
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.migrations import migrate
from pullpass.store.records import RecordStore
from tests.parts.postgres import PostgresCluster, postgres_cluster
from tests.store.values import NOW, a_user


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    with postgres_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that was never migrated."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/pullpass.db"
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    return cluster.url(cluster.create_database())


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresCluster) -> str:
    name = postgres.create_database()
    asyncio.run(_migrate(postgres.url(name)))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "pullpass.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_path(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "pullpass.db"))


@pytest.fixture
def postgres_url(postgres: PostgresCluster, postgres_template: str) -> str:
    return postgres.url(postgres.create_database(postgres_template))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a database of the newest schema, with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('sqlite_path')}"
    postgres_url: str = request.getfixturevalue("postgres_url")
    return postgres_url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.close()


@pytest.fixture
async def replica(url: str) -> AsyncIterator[Database]:
    """Another process's view of the same database."""
    opened = await Database.open(url)
    yield opened
    await opened.close()


@pytest.fixture
def records(database: Database) -> RecordStore:
    return RecordStore(database)


@pytest.fixture
def identity(database: Database) -> IdentityStore:
    return IdentityStore(database)


@pytest.fixture
async def admin(identity: IdentityStore) -> User:
    """The administrator of the organizations `acme` and `globex`."""
    user = a_user("ada")
    for name in ("acme", "globex"):
        await identity.create_organization(
            Organization(name, name.title(), NOW, "root"), user, now=NOW
        )
    found = await identity.user("ada")
    assert found is not None
    return found


async def _migrate(url: str) -> None:
    database = await Database.open(url)
    await migrate(database)
    await database.close()
