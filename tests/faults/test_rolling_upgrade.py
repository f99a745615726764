"""Servers of two versions on one database, as replicas are upgraded one by one.

An older version cannot be installed here. But what it does to the database can be done: its tables
are those of its own migration, and its servers go on with their statements on the tables of the
next one. So each migration has to leave room for the statements of the version before it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import BigInteger, Boolean, Connection, Integer, LargeBinary, MetaData, Table, text

from pullpass.store import migrations
from pullpass.store.engine import Database
from pullpass.store.migrations import HEAD, upgrade
from tests.faults.conftest import Say
from tests.parts.api_client import ApiClient
from tests.parts.load import Load
from tests.parts.postgres import PostgresCluster
from tests.parts.process import ProcessFailed
from tests.parts.server import PullpassServer

# SQLAlchemy cannot read SQLite's indexes on expressions, which nothing here is about.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection of expression-based index"
)
NEXT = f"{int(HEAD) + 1:04}"


def versions() -> list[str]:
    """All versions of the schema, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    return [script.revision for script in scripts][::-1]


@pytest.fixture
def database_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/pullpass.db"
    cluster: PostgresCluster = request.getfixturevalue("cluster")
    return cluster.url(cluster.create_database())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


async def test_the_statements_of_a_version_hold_after_the_next_migration(
    database: Database, say: Say
) -> None:
    statements = 0
    for old, new in zip(versions(), versions()[1:], strict=False):
        async with database.migration() as connection:
            await connection.run_sync(upgrade, old)
            tables = await connection.run_sync(tables_of)
            await connection.run_sync(insert, tables, f"before {new}")
        async with database.migration() as connection:
            await connection.run_sync(upgrade, new)
        # In transactions of their own, as the server of the older version would.
        async with database.write() as connection:
            await connection.run_sync(insert, tables, f"after {new}")
        async with database.write() as connection:
            await connection.run_sync(read_and_update, tables, (f"before {new}", f"after {new}"))
        async with database.write() as connection:
            await connection.run_sync(delete, tables)
        statements += 4 * len(tables)
    say(f"{statements} statements of {len(versions()) - 1} versions hold in the version after each")


def tables_of(connection: Connection) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def row(table: Table, mark: str) -> Mapping[str, object]:
    """A value for each column; the same in all tables, so that references lead somewhere."""

    def value(kind: object) -> object:
        if isinstance(kind, Boolean):
            return True
        if isinstance(kind, Integer | BigInteger):
            return 1
        return mark.encode() if isinstance(kind, LargeBinary) else mark

    return {column.name: value(column.type) for column in table.columns}


def insert(connection: Connection, tables: list[Table], mark: str) -> None:
    for table in tables:
        connection.execute(table.insert().values(row(table, mark)))


def read_and_update(connection: Connection, tables: list[Table], marks: tuple[str, ...]) -> None:
    for table in tables:
        found = [dict(each._mapping) for each in connection.execute(table.select())]
        for mark in marks:
            expected = row(table, mark)
            assert expected in found, (table.name, mark)
            key = [column == expected[column.name] for column in table.primary_key]
            updated = connection.execute(table.update().where(*key).values(expected))
            assert updated.rowcount == 1, table.name


def delete(connection: Connection, tables: list[Table]) -> None:
    for table in reversed(tables):
        connection.execute(table.delete())
        left = connection.execute(table.select()).first()
        assert left is None, f"{table.name} keeps {left}"


async def test_a_server_goes_on_while_a_newer_version_migrates_and_is_not_started_again(
    server: PullpassServer, database_env: Mapping[str, str], say: Say
) -> None:
    url = database_env.get("PULLPASS_DATABASE", f"sqlite:///{server.data_dir}/pullpass.db")
    database = await Database.open(url)
    with Load([server]) as load:
        load.wait_for(20)
        # What a newer version may do: a table more, and a column more in each of the others. One
        # at a time, since who locks several of them meets those who use them in another order.
        async with database.write() as connection:
            tables = await connection.run_sync(tables_of)
        await change(database, "CREATE TABLE newer (id TEXT PRIMARY KEY)")
        for table in tables:
            await change(database, f"ALTER TABLE {table.name} ADD COLUMN newer TEXT")
        await change(database, f"UPDATE alembic_version SET version_num = '{NEXT}'")
        load.wait_for(40)
    refused = load.book.refused
    with ApiClient(server) as client:
        load.book.check(client)
    load.book.check_log(server)
    server.stop()
    with pytest.raises(ProcessFailed, match=f"has schema version {NEXT}"):
        server.start()
    await change(database, f"UPDATE alembic_version SET version_num = '{HEAD}'")
    await database.close()
    server.start()
    with ApiClient(server) as client:
        load.book.check(client)
    say(
        f"{len(tables)} tables were extended under load: {load.book.told()}, {refused} to be "
        "tried again; a start on the newer schema is refused"
    )


async def change(database: Database, statement: str) -> None:
    async with database.migration() as connection:
        await connection.execute(text(statement))
