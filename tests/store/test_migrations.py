from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pullpass.domain.errors import StoreUnavailable
from pullpass.store import migrations
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.migrations import HEAD, SchemaTooNew, migrate, schema_version
from pullpass.store.schema import metadata

# What a process does that starts with the database at its first argument.
MIGRATE = """\
import asyncio, sys
from pullpass.store.engine import Database
from pullpass.store.migrations import migrate
async def main():
    database = await Database.open(sys.argv[1])
    await migrate(database)
    await database.close()
asyncio.run(main())
"""


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    database = await Database.open(empty_url)
    yield database
    await database.close()


def test_head_is_the_newest_version_and_versions_count_up() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    versions = [script.revision for script in scripts.walk_revisions()]
    assert versions == sorted(versions, reverse=True)


# SQLAlchemy cannot read SQLite's indexes on expressions: the test after this one is about it.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based")
async def test_an_empty_database_is_brought_to_the_tables_of_the_stores(empty: Database) -> None:
    assert await schema_version(empty) is None
    await migrate(empty)
    assert await schema_version(empty) == HEAD
    async with empty.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"compare_type": True}), metadata
            )
        )
    assert differences == []


async def test_the_database_itself_refuses_an_e_mail_address_twice(database: Database) -> None:
    statement = text("INSERT INTO users VALUES (:id, 'n', 'user', :email, 0)")
    async with database.write() as connection:
        await connection.execute(statement, {"id": "bob", "email": "Bob@example.com"})
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(statement, {"id": "eve", "email": "bob@Example.com"})


async def test_text_is_sorted_by_code_point(postgres_url: str) -> None:
    database = await Database.open(postgres_url)
    async with database.read() as connection:
        found = await connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND data_type = 'text'"
                " AND collation_name IS DISTINCT FROM 'C'"
                " AND table_name <> 'alembic_version'"
            )
        )
        columns = {tuple(row) for row in found}
    await database.close()
    # Bodies in JSON, neither sorted nor compared.
    assert columns == {
        ("audit_entries", "document"),
        ("clusters", "report"),
        ("memberships", "registries"),
        ("records", "options"),
        ("records", "secrets"),
        ("trust_rules", "claims"),
    }


async def test_migrating_again_changes_nothing(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO feeds VALUES ('identity', 7)"))
    await migrate(database)
    assert await ChangeFeed(database).heads(["identity"]) == {"identity": 7}


async def test_replicas_may_start_at_once(empty_url: str) -> None:
    replicas = [await Database.open(empty_url) for _ in range(4)]
    await asyncio.gather(*(migrate(replica) for replica in replicas))
    assert [await schema_version(replica) for replica in replicas] == [HEAD] * 4
    for replica in replicas:
        await replica.close()


def test_processes_may_start_at_once(empty_url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, empty_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors


def test_a_start_at_the_newest_version_does_without_alembic(url: str) -> None:
    script = f"{MIGRATE}sys.exit('alembic' in sys.modules)\n"
    assert subprocess.run([sys.executable, "-c", script, url], check=False).returncode == 0


async def test_a_newer_schema_is_left_alone(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew) as refused:
        await migrate(database)
    assert refused.value.code == "schema_too_new"
    assert "9999" in refused.value.message
    assert await schema_version(database) == "9999"


async def test_before_the_first_migration_the_store_is_unavailable(empty: Database) -> None:
    with pytest.raises(StoreUnavailable, match="migrations"):
        await ChangeFeed(empty).heads(["identity"])
    await empty.ping()
    await migrate(empty)
    assert await ChangeFeed(empty).heads(["identity"]) == {"identity": 0}
