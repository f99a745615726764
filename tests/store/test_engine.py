from __future__ import annotations

import asyncio
import random
import stat
import traceback
from collections.abc import Awaitable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from pullpass.domain.errors import InvalidInput, StoreUnavailable
from pullpass.store.changes import ChangeFeed, announce
from pullpass.store.engine import Database
from pullpass.store.migrations import migrate
from tests.parts.ports import free_port
from tests.parts.postgres import PostgresCluster
from tests.store.values import NOW


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pullpass.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "mysql://user:hunter2@host/name",
        "postgresql+asyncpg://user:hunter2@host/name",
        "postgresql://user:hunter2@host:port/name",
        "postgresql://user:hunter2:/@host/name",
        "postgresql://user:pa@hunter2:x@host/name",
        "postgresql://user:pa@hunter2@host/name",
        "postgresql://user:hunter2@a:1,b:2/name?host=c",
    ],
)
async def test_what_is_no_database_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await Database.open(url)
    assert refused.value.code == "invalid_database_url"
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


async def test_an_option_that_asyncpg_refuses_is_a_mistake_in_the_url() -> None:
    database = await Database.open("postgresql://user:hunter2@127.0.0.1/name?sslmode=hunter2")
    with pytest.raises(InvalidInput) as refused:
        await database.ping()
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    await database.close()


async def test_a_sqlite_file_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a dir" / "100%?#.db"
    database = await Database.open(f"sqlite:///{path}")
    await migrate(database)
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert database.dialect == "sqlite"


async def test_a_relative_sqlite_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = await Database.open("sqlite:///sub/pullpass.db")
    monkeypatch.chdir("/")
    await database.ping()
    await database.close()
    assert (tmp_path / "sub" / "pullpass.db").is_file()


async def test_a_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        await Database.open(f"sqlite:///{tmp_path}/file/pullpass.db")


async def test_postgresql_over_a_unix_socket(postgres: PostgresCluster) -> None:
    database = await Database.open(postgres.socket_url())
    async with database.read() as connection:
        address = await connection.execute(text("SELECT inet_server_addr()"))
        assert address.scalar_one() is None
    await database.close()
    assert database.dialect == "postgresql"


async def test_the_short_name_of_postgresql(postgres: PostgresCluster) -> None:
    database = await Database.open(postgres.url().replace("postgresql:", "postgres:"))
    await database.ping()
    await database.close()


async def test_a_password_with_any_character(postgres: PostgresCluster) -> None:
    postgres.sql("""CREATE ROLE odd LOGIN PASSWORD 'p@:/?#%"+ü'""")
    url = f"postgresql://odd:p%40%3A%2F%3F%23%25%22+%C3%BC@127.0.0.1:{postgres.port}/postgres"
    for odd in (url, f"{url}?host={postgres.socket_directory}"):
        database = await Database.open(odd)
        await database.ping()
        await database.close()


async def test_no_password_in_errors_and_repr(postgres: PostgresCluster) -> None:
    urls = [
        postgres.url("missing"),
        postgres.url().replace("//pullpass:", "//nobody:"),
        f"postgresql://user:hunter2@127.0.0.1:{free_port()}/name",
        f"postgresql://user:hunter2@127.0.0.1:{postgres.port}/name",
        "postgresql://user:hunter2@nowhere.invalid/name",
    ]
    for url in urls:
        database = await Database.open(url)
        with pytest.raises(StoreUnavailable) as failed:
            await database.ping()
        shown = "".join(traceback.format_exception(failed.value)) + repr(database)
        assert "hunter2" not in shown
        assert postgres.password not in shown
        await database.close()


async def test_parameters_are_not_shown_in_errors(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with database.read() as connection:
            await connection.execute(
                text("SELECT :digest FROM feeds, nonsense("), {"digest": "d1g"}
            )
    assert "d1g" not in "".join(traceback.format_exception(failed.value))


async def test_a_write_commits_at_its_end_only(database: Database, replica: Database) -> None:
    feed = ChangeFeed(replica)
    async with database.write() as connection:
        await announce(connection, "identity", "user", "ada", NOW)
        assert await feed.heads(["identity"]) == {"identity": 0}
    assert await feed.heads(["identity"]) == {"identity": 1}


async def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as connection:
            await announce(connection, "identity", "user", "ada", NOW)
            raise KeyError("ours")

    with pytest.raises(KeyError):
        await fail()
    assert await ChangeFeed(database).heads(["identity"]) == {"identity": 0}


async def test_a_broken_constraint_passes_and_leaves_nothing(database: Database) -> None:
    async def insert_twice() -> None:
        async with database.write() as connection:
            for _ in range(2):
                await connection.execute(text("INSERT INTO feeds VALUES ('identity', 1)"))

    with pytest.raises(IntegrityError):
        await insert_twice()
    assert await ChangeFeed(database).heads(["identity"]) == {"identity": 0}


async def test_a_read_sees_one_state_throughout(database: Database, replica: Database) -> None:
    query = text("SELECT count(*) FROM feeds")
    async with database.read() as connection:
        before = (await connection.execute(query)).scalar_one()
        async with replica.write() as other:
            await announce(other, "identity", "user", "ada", NOW)
        assert (await connection.execute(query)).scalar_one() == before == 0
    assert await ChangeFeed(database).heads(["identity"]) == {"identity": 1}


async def test_more_requests_than_connections(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.write() as connection:
            await announce(connection, "identity", "user", f"user-{number}", NOW)

    feed = ChangeFeed(database)
    await asyncio.gather(
        *(write(number) for number in range(60)), *(feed.heads(["identity"]) for _ in range(60))
    )
    assert await feed.heads(["identity"]) == {"identity": 60}


async def test_requests_that_are_cancelled_hold_nothing(
    database: Database, replica: Database
) -> None:
    """Clients hang up at any moment: no lock, no transaction and no connection stays behind.

    Another replica waits two seconds for a lock of SQLite's, and five for one of PostgreSQL's.
    """
    acknowledged = 0

    async def write(number: int) -> None:
        nonlocal acknowledged
        async with database.write() as connection:
            await announce(connection, "identity", "user", f"user-{number}", NOW)
            await asyncio.sleep(0)
            await announce(connection, f"org:{number}", "record", "x", NOW)
        acknowledged += 1

    feed = ChangeFeed(database)
    chance = random.Random(7)
    for _ in range(8):
        requests: list[Awaitable[object]] = [write(number) for number in range(15)]
        requests += [feed.since("identity", 0) for _ in range(15)]
        tasks = [asyncio.ensure_future(request) for request in requests]
        for task in tasks:
            delay = chance.random() * 0.03
            asyncio.get_running_loop().call_later(delay, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        unexpected = [
            outcome
            for outcome in outcomes
            if isinstance(outcome, BaseException)
            and not isinstance(outcome, asyncio.CancelledError)
        ]
        assert unexpected == []

    async with replica.write() as connection:
        revision = await announce(connection, "identity", "user", "last", NOW)
    assert revision > acknowledged
    heads = await asyncio.gather(*(feed.heads(["identity"]) for _ in range(30)))
    assert heads == [{"identity": revision}] * 30
    changes = await feed.since("identity", 0)
    assert changes is not None
    assert len(changes) == revision
