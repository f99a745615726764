"""The database, SQLite or PostgreSQL, behind one class: transactions and their failures.

What differs between the two is here, in ``sqlite.py`` and in ``postgresql.py``; the stores write
one SQL for both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql as postgresql_sql
from sqlalchemy.dialects import sqlite as sqlite_sql
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import InvalidInput, NotFound
from pullpass.store.audit_extension import Continuation, Extension
from pullpass.store.failures import translated
from pullpass.store.record_addition import Addition
from pullpass.store.sqlite import SqliteBackend

_Item = TypeVar("_Item")
# Below the 32766 parameters that a statement may have in SQLite, and the 65535 in PostgreSQL.
_CHUNK = 1000


class NoDatabase(NotFound):
    """Nothing was set up yet where a database is looked for."""

    default_code = "no_database"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} Nothing was changed. Give the settings that the server is started with: "
            "--data-dir, --database or --config, or the environment."
        )


class Backend(Protocol):
    """What each of the two kinds of database does in its own way."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]: ...
    @property
    def probe(self) -> str: ...
    @property
    def errors(self) -> tuple[type[Exception], ...]: ...
    def read(self) -> AbstractAsyncContextManager[AsyncConnection]: ...
    def write(self) -> AbstractAsyncContextManager[AsyncConnection]: ...
    def migration(self) -> AbstractAsyncContextManager[AsyncConnection]: ...
    async def extend_chains(self, extensions: Sequence[Extension]) -> bool: ...
    async def continue_chain(self, continuation: Continuation) -> bool: ...
    async def add_records(self, addition: Addition) -> int: ...
    async def close(self) -> None: ...
    def explain(self, error: Exception) -> str | None: ...


class Database:
    """A database that may come and go: no failure of it needs a restart of Pullpass."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    async def open(cls, url: str, *, create: bool = True) -> Database:
        """The database at ``url``; creates a missing SQLite file (mode 0600) and its directory,
        unless ``create`` is False.

        ``sqlite:////absolute/path``, ``sqlite:///relative/path``, or a libpq URL
        ``postgresql://user:password@host:port/name?sslmode=require`` (`postgres://` as well;
        `host` in the query may be the directory of a unix socket). A PostgreSQL server need not
        run yet.

        Raises:
            InvalidInput: it is none of these; the message never repeats the URL.
            NoDatabase: there is no SQLite file, and none may be created.
            StoreUnavailable: the SQLite file cannot be created.
        """
        scheme, _, rest = url.partition("://")
        if scheme == "sqlite" and len(rest) > 1 and rest[0] == "/" and rest != "/:memory:":
            with translated(SqliteBackend.explain):
                return cls(_sqlite(Path(rest[1:]), create))
        if scheme in ("postgresql", "postgres"):
            # Here, since asyncpg takes time and memory that SQLite does without.
            from pullpass.store.postgresql import PostgresBackend

            return cls(PostgresBackend(url))
        raise InvalidInput(
            "The database URL is neither 'sqlite:////path/to/file' nor "
            "'postgresql://user:password@host:port/name'.",
            code="invalid_database_url",
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._backend.close()

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._backend.dialect

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database throughout, and writes nothing.

        Raises:
            StoreUnavailable: the database cannot answer now.
        """
        with self._translated():
            async with self._backend.read() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end, and rolls back on any error.

        On SQLite it has the write lock from the start. On PostgreSQL a statement sees what was
        committed before it began, so that what is read after a row lock is current. An
        IntegrityError passes unchanged, and must leave the block: PostgreSQL commits nothing
        after it.

        Raises:
            StoreUnavailable: the database cannot answer now. Where the commit itself failed or
                went unanswered, the write may have happened all the same.
        """
        with self._translated():
            async with self._backend.write() as connection:
                yield connection

    @asynccontextmanager
    async def migration(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction that one replica at a time can hold, without a limit in time."""
        with self._translated():
            async with self._backend.migration() as connection:
                yield connection

    async def extend_chains(self, extensions: Sequence[Extension]) -> bool:
        """Put entries at the ends of audit chains, in a transaction and as fast as it goes.

        They are on disk where this returns True. False: nothing was done, since the end of a
        chain is not where it was thought to be.

        Raises:
            StoreUnavailable: as :meth:`write`.
        """
        with self._translated():
            return await self._backend.extend_chains(extensions)

    async def continue_chain(self, continuation: Continuation) -> bool:
        """As :meth:`extend_chains`, wherever the chain ends."""
        with self._translated():
            return await self._backend.continue_chain(continuation)

    async def add_records(self, addition: Addition) -> int:
        """Put new records, their changes and their audit entries in, in a transaction and as fast
        as it goes.

        They are on disk where this returns the revision of the last one. 0: nothing was done,
        since one of them is there already, or the chain or the feed is not as it was thought to be.

        Raises:
            StoreUnavailable: as :meth:`write`.
        """
        with self._translated():
            return await self._backend.add_records(addition)

    async def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            StoreUnavailable: it gave none.
        """
        async with self.read() as connection:
            await connection.execute(text(self._backend.probe))

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._backend.explain, self._backend.errors)

    def __repr__(self) -> str:
        return f"Database({self._backend})"


def _sqlite(path: Path, create: bool) -> SqliteBackend:
    if not create and not path.exists():
        raise NoDatabase(f"There is no database at {path}.")
    return SqliteBackend(path)


def insert(connection: AsyncConnection, table: Table) -> sqlite_sql.Insert | postgresql_sql.Insert:
    """An INSERT that has ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    if connection.dialect.name == "postgresql":
        return postgresql_sql.insert(table)
    return sqlite_sql.insert(table)


def in_chunks(items: Collection[_Item]) -> Iterator[list[_Item]]:
    """``items`` in lists short enough for one IN clause."""
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
