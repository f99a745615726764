"""The schema's history. Version ids count up ("0001", "0002"), so that they can be compared.

Alembic is loaded only where there is something to migrate: a start at the newest version does
without it.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Text, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import PullpassError
from pullpass.store.engine import Database

HEAD = "0009"
_VERSION_TABLE = "alembic_version"


class SchemaTooNew(PullpassError):
    """A newer Pullpass has migrated the database; this one must not touch it."""

    default_code = "schema_too_new"


async def migrate(database: Database) -> None:
    """Bring the schema to :data:`HEAD`. Any number of replicas may do so at the same time.

    All versions are applied in one transaction, or none.

    Raises:
        SchemaTooNew: the database is beyond :data:`HEAD`.
        StoreUnavailable: the database cannot answer now.
    """
    if _is_head(await schema_version(database)):
        return
    async with database.migration() as connection:
        # Another replica may have done it while this one waited for the lock.
        if not _is_head(await _version(connection)):
            await connection.run_sync(upgrade, HEAD)


async def schema_version(database: Database) -> str | None:
    """The version that the database has; None where it was never migrated."""
    async with database.read() as connection:
        return await _version(connection)


def _is_head(version: str | None) -> bool:
    if version is not None and version > HEAD:
        raise SchemaTooNew(
            f"The database has schema version {version}, this Pullpass knows up to {HEAD}: "
            "run the newer Pullpass, or restore the backup from before its migration.",
            details={"found": version, "newest_known": HEAD},
        )
    return version == HEAD


async def _version(connection: AsyncConnection) -> str | None:
    if not await connection.run_sync(_has_versions):
        return None
    query = select(column("version_num", Text)).select_from(table(_VERSION_TABLE))
    version: str | None = (await connection.execute(query)).scalar_one_or_none()
    return version


def _has_versions(connection: Connection) -> bool:
    return inspect(connection).has_table(_VERSION_TABLE)


def upgrade(connection: Connection, version: str) -> None:
    """Bring the schema to ``version``, within the transaction of ``connection``."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("version_table", _VERSION_TABLE)
    config.attributes["connection"] = connection
    command.upgrade(config, version)
