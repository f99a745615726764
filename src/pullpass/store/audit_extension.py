"""Entries at the end of audit chains, put there by the driver itself: what every read waits for.

Where a chain ends is known from the last time, so nothing needs to be read, let alone locked,
before entries can be sealed: one statement moves the end of the chain on and adds the entries,
provided that the end is still where it was thought to be. Where it is not, nothing is done. A chain
that others go on with too is locked, and then the entries are made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pullpass.store.schema import audit_entries

if TYPE_CHECKING:
    import asyncpg

# The columns of an entry in the order of the table, ``at`` in milliseconds.
EntryRow = tuple[str, int, int, str, str, str | None, str, str, bytes, bytes]

_COLUMNS = ", ".join(audit_entries.c.keys())
_PLACES = f"({', '.join('?' for _ in audit_entries.c)})"
# Below the 32766 parameters that a statement may have in SQLite.
_MOST_ROWS = 500

_MOVE = (
    "UPDATE audit_chains SET sequence = ?, hash = ?, seal = ?"
    " WHERE organization_id = ? AND sequence = ? AND hash = ? AND seal = ?"
)
_END = "SELECT sequence, hash, seal FROM audit_chains WHERE organization_id = "
_MOVE_AND_ADD = f"""
    WITH moved AS (
        UPDATE audit_chains SET sequence = $1, hash = $2, seal = $3
        WHERE organization_id = $4 AND sequence = $5 AND hash = $6 AND seal = $7
        RETURNING 1
    )
    INSERT INTO audit_entries ({_COLUMNS})
    SELECT added.* FROM moved, unnest(
        $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::text[],
        $13::text[], $14::text[], $15::text[], $16::bytea[], $17::bytea[]
    ) AS added
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain."""

    sequence: int
    hash: bytes
    seal: bytes


@dataclass(frozen=True, slots=True)
class Extension:
    """Entries of one organization behind ``before``, up to ``after``."""

    organization: str
    before: Head
    after: Head
    rows: Sequence[EntryRow]

    @property
    def move(self) -> tuple[int, bytes, bytes, str, int, bytes, bytes]:
        after, before = self.after, self.before
        return (
            *(after.sequence, after.hash, after.seal),
            *(self.organization, before.sequence, before.hash, before.seal),
        )


@dataclass(frozen=True, slots=True)
class Continuation:
    """Entries of one organization that ``extend`` makes when its chain is locked, behind the end
    that is found; perhaps in another thread. None: it is no end that one goes on with.
    """

    organization: str
    extend: Callable[[Head], Extension | None]

    def behind(self, end: Sequence[Any] | None) -> Extension | None:
        """The entries behind an ``end`` as it is in the database, if it is there and was sealed."""
        if end is None:
            return None
        sequence, hash_, seal = end
        return None if seal is None else self.extend(Head(sequence, hash_, seal))


Log = Extension | Continuation


def extend_sqlite(connection: sqlite3.Connection, extensions: Sequence[Extension]) -> bool:
    """Whether it is done, within a transaction; False where the end of a chain is another."""
    for extension in extensions:
        if connection.execute(_MOVE, extension.move).rowcount != 1:
            return False
    rows = (row for extension in extensions for row in extension.rows)
    # Many rows in a statement, since each statement waits anew for the interpreter's lock.
    while chunk := list(islice(rows, _MOST_ROWS)):
        connection.execute(_insert(len(chunk)), [value for row in chunk for value in row])
    return True


async def extend_postgresql(
    connection: asyncpg.Connection, extensions: Sequence[Extension]
) -> bool:
    """Whether it is done, and committed; False where the end of a chain is another."""
    if len(extensions) == 1:
        return await _move_and_add(connection, extensions[0])
    transaction = connection.transaction()
    await transaction.start()
    for extension in sorted(extensions, key=lambda each: each.organization):
        if not await _move_and_add(connection, extension):
            await transaction.rollback()
            return False
    await transaction.commit()
    return True


def continue_sqlite(connection: sqlite3.Connection, continuation: Continuation) -> bool:
    """Whether it is done, within a transaction that has the lock of the file."""
    end = connection.execute(f"{_END}?", (continuation.organization,)).fetchone()
    extension = continuation.behind(end)
    return extension is not None and extend_sqlite(connection, [extension])


async def continue_postgresql(connection: asyncpg.Connection, continuation: Continuation) -> bool:
    """Whether it is done, and committed."""
    transaction = connection.transaction()
    await transaction.start()
    end = await connection.fetchrow(f"{_END}$1 FOR UPDATE", continuation.organization)
    extension = continuation.behind(end)
    if extension is None or not await _move_and_add(connection, extension):
        await transaction.rollback()
        return False
    await transaction.commit()
    return True


async def _move_and_add(connection: asyncpg.Connection, extension: Extension) -> bool:
    columns = zip(*extension.rows, strict=True)
    done: str = await connection.execute(_MOVE_AND_ADD, *extension.move, *map(list, columns))
    return done == f"INSERT 0 {len(extension.rows)}"


@lru_cache(maxsize=_MOST_ROWS)
def _insert(rows: int) -> str:
    return f"INSERT INTO audit_entries ({_COLUMNS}) VALUES {', '.join([_PLACES] * rows)}"  # noqa: S608
