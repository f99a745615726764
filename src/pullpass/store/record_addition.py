"""New records put in by the driver itself, in one go: what most creations come to.

It is the hopeful way: nobody has one of the ids or prefixes, and the audit log ends where it is
thought to end, or is locked and looked at first. Where that is not so nothing is done;
``record_creation`` finds out who gets what.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from pullpass.store.audit_extension import Extension, Log, continue_sqlite, extend_sqlite
from pullpass.store.schema import audit_entries

if TYPE_CHECKING:
    import asyncpg

# What is in a row; ``created_at`` is in milliseconds.
COLUMNS = (
    *("id", "registry", "prefix", "type", "enable_ci", "secrets", "options", "sealed_creds"),
    *("created_at", "created_by"),
)
_COLUMNS = ", ".join(COLUMNS)
_ENTRY_COLUMNS = ", ".join(audit_entries.c.keys())
# Below the 32766 parameters that a statement may have in SQLite.
_MOST_ROWS = 500

_ADVANCE = "UPDATE feeds SET revision = revision + ? WHERE feed = ? RETURNING revision"

# The locks in the order in which every change takes them: the feed's, the chain's. That something
# is taken only the unique indexes say, by an error: how to look it up the planner of a database
# without statistics does not know, and reads a whole organization through.
_ADD = f"""
    WITH head AS (
        SELECT revision FROM feeds WHERE feed = $2 FOR UPDATE
    ), chain AS (
        SELECT revision FROM head, audit_chains
        WHERE organization_id = $1 AND sequence = $8 AND hash = $9 AND seal = $10
        FOR UPDATE OF audit_chains
    ), advanced AS (
        UPDATE feeds SET revision = chain.revision + cardinality($11::text[])
        FROM chain WHERE feed = $2
    ), moved AS (
        UPDATE audit_chains SET sequence = $5, hash = $6, seal = $7
        FROM chain WHERE organization_id = $1
    ), added AS (
        INSERT INTO records (organization_id, version, {_COLUMNS})
        SELECT $1, chain.revision + number, {_COLUMNS}
        FROM chain, unnest(
            $11::text[], $12::text[], $13::text[], $14::text[], $15::boolean[], $16::text[],
            $17::text[], $18::bytea[], $19::bigint[], $20::text[]
        ) WITH ORDINALITY AS added ({_COLUMNS}, number)
    ), changed AS (
        INSERT INTO changes (feed, revision, kind, subject, at)
        SELECT $2, chain.revision + number, $3, id, $4
        FROM chain, unnest($11::text[]) WITH ORDINALITY AS added (id, number)
    ), logged AS (
        INSERT INTO audit_entries ({_ENTRY_COLUMNS})
        SELECT added.* FROM chain, unnest(
            $21::text[], $22::bigint[], $23::bigint[], $24::text[], $25::text[],
            $26::text[], $27::text[], $28::text[], $29::bytea[], $30::bytea[]
        ) AS added
    )
    SELECT revision FROM chain
"""  # noqa: S608
_LOCK = """
    WITH head AS (
        SELECT revision FROM feeds WHERE feed = $2 FOR UPDATE
    )
    SELECT sequence, hash, seal FROM head, audit_chains
    WHERE organization_id = $1
    FOR UPDATE OF audit_chains
"""


@dataclass(frozen=True, slots=True)
class Addition:
    """Records of one organization, for which ``log`` has as many entries or makes them, and the
    kind of change that they are in ``feed``, made at the millisecond ``at``.
    """

    organization: str
    feed: str
    kind: str
    at: int
    rows: Sequence[Sequence[object]] = field(repr=False)
    log: Log


def add_sqlite(connection: sqlite3.Connection, addition: Addition) -> int:
    """The revision of the last record, within a transaction; 0: it is to be rolled back."""
    count = len(addition.rows)
    advanced = connection.execute(_ADVANCE, (count, addition.feed)).fetchall()
    if not advanced or not _log_sqlite(connection, addition.log):
        return 0
    head: int = advanced[0][0]
    numbered = enumerate(addition.rows, head - count + 1)
    # Many rows in a statement, since each statement waits anew for the interpreter's lock.
    while chunk := list(islice(numbered, _MOST_ROWS)):
        values: list[object] = []
        for revision, row in chunk:
            values += (addition.organization, revision, *row)
        if connection.execute(_insert_records(len(chunk)), values).rowcount != len(chunk):
            return 0
        values = []
        for revision, row in chunk:
            values += (addition.feed, revision, addition.kind, row[0], addition.at)
        connection.execute(_insert_changes(len(chunk)), values)
    return head


async def add_postgresql(connection: asyncpg.Connection, addition: Addition) -> int:
    """The revision of the last record, which is committed; 0: nothing was done.

    Raises:
        IntegrityConstraintViolationError: nothing was done, since something is taken; a
            transaction may have been left open.
    """
    if isinstance(addition.log, Extension):
        return await _add(connection, addition, addition.log)
    await connection.execute("BEGIN")
    end = await connection.fetchrow(_LOCK, addition.organization, addition.feed)
    log = addition.log.behind(end)
    revision = await _add(connection, addition, log) if log else 0
    await connection.execute("COMMIT" if revision else "ROLLBACK")
    return revision


async def _add(connection: asyncpg.Connection, addition: Addition, log: Extension) -> int:
    before: int | None = await connection.fetchval(
        _ADD,
        *(addition.organization, addition.feed, addition.kind, addition.at),
        *(log.after.sequence, log.after.hash, log.after.seal),
        *(log.before.sequence, log.before.hash, log.before.seal),
        *map(list, zip(*addition.rows, strict=True)),
        *map(list, zip(*log.rows, strict=True)),
    )
    return 0 if before is None else before + len(addition.rows)


def _log_sqlite(connection: sqlite3.Connection, log: Log) -> bool:
    if isinstance(log, Extension):
        return extend_sqlite(connection, [log])
    return continue_sqlite(connection, log)


@lru_cache(maxsize=_MOST_ROWS)
def _insert_records(rows: int) -> str:
    columns = f"organization_id, version, {_COLUMNS}"
    return f"INSERT OR IGNORE INTO records ({columns}) VALUES {_places(rows, 2 + len(COLUMNS))}"  # noqa: S608


@lru_cache(maxsize=_MOST_ROWS)
def _insert_changes(rows: int) -> str:
    columns = "feed, revision, kind, subject, at"
    return f"INSERT INTO changes ({columns}) VALUES {_places(rows, 5)}"  # noqa: S608


def _places(rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)
