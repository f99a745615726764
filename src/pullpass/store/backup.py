"""All rows of the database as lines of JSON, and back: the same for SQLite and PostgreSQL.

The first line says what it is and of which schema; then each table names itself and its columns,
and its rows follow as lists; the last line holds the number of rows and the SHA-256 of all lines
before it, so that what was cut off or damaged is not taken for whole.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, LargeBinary, column, insert, select, table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from pullpass.domain import timestamp
from pullpass.domain.errors import Conflict, InvalidInput
from pullpass.store.engine import Database
from pullpass.store.migrations import HEAD, SchemaTooNew, schema_version, upgrade
from pullpass.store.schema import Milliseconds, metadata

_FORMAT = "pullpass-backup"
_VERSION = 1
_CHUNK = 1000


class BackupDamaged(InvalidInput):
    """The file is no backup, was cut off, or was changed."""

    default_code = "backup_damaged"


class DatabaseNotEmpty(Conflict):
    """A backup is restored into a database without tables."""

    default_code = "database_not_empty"


class SchemaTooOld(Conflict):
    """The database was not brought to this version's schema yet."""

    default_code = "schema_too_old"


async def dump(database: Database, now: datetime) -> AsyncIterator[bytes]:
    """The lines of a backup: one state of the database, however long it takes to read them.

    Raises:
        SchemaTooOld: the schema is not this version's.
        StoreUnavailable: the database cannot answer now.
    """
    found = await schema_version(database)
    if found != HEAD:
        raise SchemaTooOld(
            f"The database has schema version {found or 'none'}, this Pullpass {HEAD}: start it "
            "once with this version, or take the backup with the version that runs."
        )
    digest, count = hashlib.sha256(), 0
    async with database.read() as connection:
        async for value in _values(connection, now):
            line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
            digest.update(line)
            count += isinstance(value, list)
            yield line
    yield json.dumps({"rows": count, "sha256": digest.hexdigest()}).encode() + b"\n"


async def load(database: Database, lines: Iterable[bytes]) -> dict[str, int]:
    """Put a backup into an empty database, whole or not at all; the rows of each table.

    The schema is brought to this version's afterwards, where the backup is older.

    Raises:
        BackupDamaged: as its name says.
        DatabaseNotEmpty: as its name says.
        SchemaTooNew: the backup is of a newer Pullpass.
        StoreUnavailable: the database cannot answer now.
    """
    if await schema_version(database) is not None:
        raise DatabaseNotEmpty(
            "The database is not empty: a backup is restored into one without any tables. "
            "Nothing was changed."
        )
    values = _checked(lines)
    schema = _schema_of(next(values, None))
    counts: dict[str, int] = {}
    async with database.migration() as connection:
        await connection.run_sync(upgrade, schema)
        target: Any = None
        rows: list[dict[str, object]] = []
        for value in values:
            if isinstance(value, list) and target is not None:
                rows.append(_row(target, value))
                counts[target.name] += 1
                if len(rows) == _CHUNK:
                    await connection.execute(insert(target), rows)
                    rows = []
                continue
            if rows:
                await connection.execute(insert(target), rows)
                rows = []
            target = _named_table(value)
            counts[target.name] = 0
        if rows:
            await connection.execute(insert(target), rows)
        await connection.run_sync(upgrade, HEAD)
    return counts


async def _values(connection: AsyncConnection, now: datetime) -> AsyncIterator[object]:
    yield {
        "format": _FORMAT,
        "version": _VERSION,
        "schema": HEAD,
        "created_at": timestamp.render(now),
    }
    for each in metadata.sorted_tables:
        source = _plain_table(each.name, [item.name for item in each.columns])
        yield {"table": each.name, "columns": [item.name for item in source.columns]}
        async with connection.stream(select(source)) as found:
            async for row in found:
                yield [_written(value) for value in row]


def _checked(lines: Iterable[bytes]) -> Iterator[object]:
    """The values of all lines but the last, which says whether they are whole."""
    digest, count = hashlib.sha256(), 0
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            break
        if isinstance(value, dict) and "sha256" in value:
            if value == {"rows": count, "sha256": digest.hexdigest()}:
                return
            break
        digest.update(line)
        count += isinstance(value, list)
        yield value
    raise BackupDamaged(
        "The backup is damaged: it was cut off or changed, or is no backup of Pullpass. "
        "Nothing was restored."
    )


def _schema_of(header: object) -> str:
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise BackupDamaged("This is no backup of Pullpass.")
    schema = str(header.get("schema"))
    if header.get("version") != _VERSION or schema > HEAD:
        raise SchemaTooNew(
            f"The backup is of schema version {schema}, this Pullpass knows up to {HEAD}: "
            "restore it with the version that it is from."
        )
    return schema


def _named_table(value: object) -> Any:
    if isinstance(value, dict) and value.get("table") in metadata.tables:
        return _plain_table(value["table"], value["columns"])
    raise BackupDamaged("The backup holds a table that this Pullpass does not know.")


def _plain_table(name: str, columns: Iterable[str]) -> Any:
    """The table with values as the database has them: times are numbers."""
    known = metadata.tables[name].columns
    return table(name, *(column(each, _plain(known[each].type)) for each in columns))


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return BigInteger() if isinstance(kind, Milliseconds) else kind


def _written(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _row(target: Any, values: list[Any]) -> dict[str, object]:
    try:
        pairs = zip(target.columns, values, strict=True)
        return {each.name: _read(each.type, value) for each, value in pairs}
    except (ValueError, TypeError, binascii.Error):
        raise BackupDamaged("The backup holds a row that does not fit its table.") from None


def _read(kind: TypeEngine[Any], value: Any) -> object:
    if value is None:
        return None
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value, validate=True)
    return bool(value) if isinstance(kind, Boolean) else value
