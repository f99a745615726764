"""What only SQLite needs: connections, locks, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pullpass.store.audit_extension import (
    Continuation,
    Extension,
    continue_sqlite,
    extend_sqlite,
)
from pullpass.store.failures import LOST, NO_TABLES, TIMED_OUT
from pullpass.store.record_addition import Addition, add_sqlite
from pullpass.store.sqlite_file import (
    PRAGMAS,
    FileReplaced,
    create_file,
    device_and_inode,
    identity,
)
from pullpass.store.sqlite_writer import OneHopWriter

T = TypeVar("T")

_BUSY_SECONDS = 2.0
_MIGRATION_BUSY_SECONDS = 60.0
_WAIT_SECONDS = 5.0
_POOL_SIZE = 5
_BEGIN = "pullpass_begin"

# https://www.sqlite.org/rescode.html, by primary code.
_REASONS = {
    sqlite3.SQLITE_PERM: "access to the database file is denied",
    sqlite3.SQLITE_BUSY: "the database is locked by another process",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_READONLY: "the database file is read-only",
    sqlite3.SQLITE_INTERRUPT: "the database was interrupted",
    sqlite3.SQLITE_IOERR: "the disk of the database reports an error or is full",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged; restore it from a backup",
    sqlite3.SQLITE_FULL: "the disk of the database is full",
    sqlite3.SQLITE_CANTOPEN: "the database file is missing or cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "the database is locked by another process",
    sqlite3.SQLITE_AUTH: "access to the database file is denied",
    sqlite3.SQLITE_NOTADB: "the database file is not a SQLite database",
}


class SqliteBackend:
    """A database file and its connections."""

    dialect: Literal["sqlite"] = "sqlite"
    probe = "SELECT count(*) FROM sqlite_schema"
    errors = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        create_file(path)
        # SQLite resolves links too, and puts its log beside what they lead to.
        self._path = path.resolve()
        self._engine = _create_engine(self._path, busy_seconds=_BUSY_SECONDS)
        self._writer = _writing(self._engine)
        self._one_hop = OneHopWriter(self._path, busy_seconds=_BUSY_SECONDS)
        # SQLite's own waiting for the write lock is neither fair nor short.
        self._write_lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        async with self._alone(), self._commit(self._writer) as connection:
            yield connection

    async def extend_chains(self, extensions: Sequence[Extension]) -> bool:
        return await self._at_once(partial(extend_sqlite, extensions=extensions), False)

    async def continue_chain(self, continuation: Continuation) -> bool:
        return await self._at_once(partial(continue_sqlite, continuation=continuation), False)

    async def add_records(self, addition: Addition) -> int:
        return await self._at_once(partial(add_sqlite, addition=addition), 0)

    async def _at_once(self, work: Callable[[sqlite3.Connection], T], refused: T) -> T:
        """What ``work`` returns; ``refused`` where a constraint is in its way."""
        async with self._alone():
            try:
                return await self._one_hop.transact(work)
            except sqlite3.IntegrityError:
                return refused

    @contextlib.asynccontextmanager
    async def migration(self) -> AsyncIterator[AsyncConnection]:
        patient = _create_engine(self._path, busy_seconds=_MIGRATION_BUSY_SECONDS)
        try:
            async with self._commit(_writing(patient)) as connection:
                yield connection
        finally:
            await patient.dispose()

    async def close(self) -> None:
        await self._one_hop.close()
        await self._engine.dispose()

    @staticmethod
    def explain(error: Exception) -> str | None:
        """The cause in plain words, where the error means that the database cannot answer now."""
        if isinstance(error, FileReplaced):
            return str(error)
        if isinstance(error, TimeoutError):
            return TIMED_OUT
        if isinstance(error, OSError):
            return f"the database file cannot be used ({error.strerror or 'unknown reason'})"
        of_driver = error.orig if isinstance(error, DBAPIError) else error
        if "no such table" in str(of_driver):
            return NO_TABLES
        code = getattr(of_driver, "sqlite_errorcode", None)
        if code is not None:
            return _REASONS.get(code & 0xFF)
        return LOST if getattr(error, "connection_invalidated", False) else None

    def __str__(self) -> str:
        return f"sqlite:///{self._path}"

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with asyncio.timeout(_WAIT_SECONDS):
            await self._write_lock.acquire()
        try:
            yield
        finally:
            self._write_lock.release()

    @contextlib.asynccontextmanager
    async def _commit(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with engine.connect() as connection:
            await connection.begin()
            yield connection
            await connection.commit()
            # Only now is it sure that the write went to a file that others can still find.
            if connection.info["identity"] != identity(self._path):
                raise FileReplaced()


def _create_engine(path: Path, *, busy_seconds: float) -> AsyncEngine:
    """An engine on a file that is there; a missing one is an error, never created anew."""
    engine = create_async_engine(
        URL.create(
            "sqlite+aiosqlite",
            database=f"file:{quote(str(path))}",
            query={"mode": "rw", "uri": "true"},
        ),
        connect_args={"isolation_level": None, "timeout": busy_seconds},
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def before_connect(_dialect: Any, record: Any, _arguments: Any, _options: Any) -> None:
        record.info["opening"] = device_and_inode(str(path))

    @event.listens_for(engine.sync_engine, "connect")
    def after_connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for statement in PRAGMAS:
            cursor.execute(statement)
        cursor.close()
        found = identity(path)
        if found[0] is None or found[0] != record.info["opening"]:
            raise FileReplaced
        record.info["identity"] = found
        record.info["unused"] = True

    @event.listens_for(engine.sync_engine, "checkout")
    def on_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        just_opened = record.info.pop("unused", False)
        if record.info["identity"] != identity(path):
            # The pool opens another connection, but does not try for ever.
            raise FileReplaced() if just_opened else DisconnectionError()

    @event.listens_for(engine.sync_engine, "invalidate")
    def on_invalidate(connection: Any, _record: Any, _error: Any) -> None:
        # Closing does not end a transaction, and so not its lock, while anything still refers to
        # a cursor (https://www.sqlite.org/c3ref/close.html): as a cancelled request's traceback.
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        # The driver's own BEGIN is off (isolation_level None): it would leave reads outside of
        # the transaction (https://docs.sqlalchemy.org/en/20/dialects/sqlite.html).
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, its transactions beginning with the write lock."""
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
