from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from pullpass.domain.audit import AuditAction
from pullpass.domain.errors import StoreUnavailable
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.changes import ChangeFeed, announce
from pullpass.store.engine import Database
from pullpass.store.migrations import migrate
from tests.parts.postgres import PostgresCluster
from tests.store.values import NOW, an_event, images

# More than any time limit, so that only a request that hangs is cut off.
PATIENCE = 30


@pytest.fixture
async def database(cluster: PostgresCluster, postgres_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(postgres_url)
    yield opened
    await opened.close()


async def write(database: Database) -> int:
    async with asyncio.timeout(PATIENCE), database.write() as connection:
        return await announce(connection, "identity", "user", "ada", NOW)


async def head(database: Database) -> int:
    async with asyncio.timeout(PATIENCE):
        return (await ChangeFeed(database).heads(["identity"]))["identity"]


async def fill_pool(database: Database) -> None:
    assert await asyncio.gather(*(head(database) for _ in range(5)))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_restarted(database: Database, cluster: PostgresCluster, mode: str) -> None:
    assert await write(database) == 1
    await fill_pool(database)
    cluster.stop(mode)
    cluster.start()
    assert await write(database) == 2
    assert await head(database) == 2


async def test_stopped_and_started(database: Database, cluster: PostgresCluster) -> None:
    assert await write(database) == 1
    await fill_pool(database)
    cluster.stop()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await write(database)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await database.ping()
    cluster.start()
    assert await write(database) == 2


async def test_stopped_during_a_transaction(database: Database, cluster: PostgresCluster) -> None:
    async def write_while_stopped() -> None:
        async with database.write() as connection:
            await announce(connection, "identity", "user", "ada", NOW)
            cluster.stop("immediate")

    with pytest.raises(StoreUnavailable):
        await write_while_stopped()
    cluster.start()
    assert await head(database) == 0
    assert await write(database) == 1


async def test_paused(database: Database, cluster: PostgresCluster) -> None:
    assert await write(database) == 1
    await fill_pool(database)
    cluster.pause()
    outcomes = await asyncio.gather(
        *(write(database) for _ in range(15)),
        *(head(database) for _ in range(5)),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    cluster.resume()
    assert await write(database) == 2
    assert await head(database) == 2


async def test_paused_during_a_transaction(database: Database, cluster: PostgresCluster) -> None:
    async def write_while_paused() -> None:
        async with asyncio.timeout(PATIENCE), database.write() as connection:
            await announce(connection, "identity", "user", "ada", NOW)
            cluster.pause()

    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await write_while_paused()
    cluster.resume()
    before = await head(database)
    assert await write(database) == before + 1


async def test_a_row_that_stays_locked(
    database: Database, postgres_url: str, cluster: PostgresCluster
) -> None:
    assert await write(database) == 1
    other = await Database.open(postgres_url)
    async with other.write() as connection:
        await announce(connection, "identity", "user", "ada", NOW)
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await write(database)
    await other.close()
    assert await write(database) == 3


async def test_entries_of_the_audit_log_survive_a_restart_and_a_lock(
    database: Database, cluster: PostgresCluster, postgres_url: str
) -> None:
    log = AuditStore(database, AuditKey(b"k" * 32))
    await log.append([an_event(action=AuditAction.CREATE_ORGANIZATION)])
    await log.append([an_event(1)])
    cluster.stop("immediate")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await log.append([an_event(2)])
    cluster.start()
    await log.append([an_event(3)])
    other = await Database.open(postgres_url)
    async with other.write() as connection:
        await connection.execute(text("SELECT * FROM audit_chains FOR UPDATE"))
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await log.append([an_event(4)])
    await other.close()
    await log.append([an_event(5)])
    assert [each for each in await images(database) if each != "4"] == ["5", "3", "1", "0"]


async def test_connections_cut_by_an_operator(database: Database, cluster: PostgresCluster) -> None:
    await fill_pool(database)
    cluster.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    assert await write(database) == 1


async def test_a_connection_cut_during_a_transaction(
    database: Database, cluster: PostgresCluster
) -> None:
    async def write_and_be_cut() -> None:
        async with database.write() as connection:
            await announce(connection, "identity", "user", "ada", NOW)
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            cluster.sql(f"SELECT pg_terminate_backend({pid})")
            await asyncio.sleep(0.1)

    with pytest.raises(StoreUnavailable):
        await write_and_be_cut()
    assert await write(database) == 1


async def test_read_only(database: Database, postgres_url: str, cluster: PostgresCluster) -> None:
    name = postgres_url.rpartition("/")[2]
    cluster.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="read-only"):
        await write(database)
    assert await head(database) == 0
    cluster.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await database.close()
    assert await write(database) == 1


async def test_too_many_connections(cluster: PostgresCluster) -> None:
    name = cluster.create_database()
    migrating = await Database.open(cluster.url(name))
    await migrate(migrating)
    await migrating.close()
    cluster.sql("CREATE ROLE guest LOGIN PASSWORD 'guest' CONNECTION LIMIT 1")
    cluster.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO guest", name)
    url = f"postgresql://guest:guest@127.0.0.1:{cluster.port}/{name}"
    first, second = await Database.open(url), await Database.open(url)
    assert await write(first) == 1
    with pytest.raises(StoreUnavailable, match="no more connections"):
        await write(second)
    await first.close()
    assert await write(second) == 2
    await second.close()


async def test_tables_changed_under_a_prepared_statement(
    database: Database, postgres_url: str
) -> None:
    """A newer version migrates while this one serves."""
    assert await write(database) == 1
    query = text("SELECT * FROM feeds")
    for _ in range(2):
        async with database.read() as connection:
            await connection.execute(query)
    other = await Database.open(postgres_url)
    async with other.write() as connection:
        await connection.execute(text("ALTER TABLE feeds ADD COLUMN extra text"))
    await other.close()

    async def read() -> int:
        async with database.read() as connection:
            return len((await connection.execute(query)).one())

    with pytest.raises(StoreUnavailable, match="newer version"):
        await read()
    assert await read() == 3
    assert await write(database) == 2
