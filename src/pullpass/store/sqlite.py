"""What only SQLite needs: the file, its locks, and what its errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pullpass.store.failures import LOST, NO_TABLES, TIMED_OUT

_BUSY_SECONDS = 2.0
_MIGRATION_BUSY_SECONDS = 60.0
_WAIT_SECONDS = 5.0
_POOL_SIZE = 5
_FILES = ("", "-wal", "-shm")
_BEGIN = "pullpass_begin"
_REPLACED = "the database file was removed or replaced"
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # In WAL mode, NORMAL could lose the last acknowledged writes on a power cut.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # Opens the log and its index now, so that all three files are known from here on.
    "SELECT count(*) FROM sqlite_schema",
)

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

# Device and inode of the database, its write-ahead log and the log's index.
_Identity = tuple[tuple[int, int] | None, ...]


class FileReplaced(OSError):
    """The path no longer leads to the files that the connection has open."""


class SqliteBackend:
    """A database file and its connections."""

    dialect: Literal["sqlite"] = "sqlite"
    probe = "SELECT count(*) FROM sqlite_schema"

    def __init__(self, path: Path) -> None:
        _create_file(path)
        # SQLite resolves links too, and puts its log beside what they lead to.
        self._path = path.resolve()
        self._engine = _create_engine(self._path, busy_seconds=_BUSY_SECONDS)
        self._writer = _writing(self._engine)
        # SQLite's own waiting for the write lock is neither fair nor short.
        self._write_lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        async with asyncio.timeout(_WAIT_SECONDS):
            await self._write_lock.acquire()
        try:
            async with self._commit(self._writer) as connection:
                yield connection
        finally:
            self._write_lock.release()

    @contextlib.asynccontextmanager
    async def migration(self) -> AsyncIterator[AsyncConnection]:
        patient = _create_engine(self._path, busy_seconds=_MIGRATION_BUSY_SECONDS)
        try:
            async with self._commit(_writing(patient)) as connection:
                yield connection
        finally:
            await patient.dispose()

    async def close(self) -> None:
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
        if not isinstance(error, DBAPIError):
            return None
        if "no such table" in str(error.orig):
            return NO_TABLES
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is not None:
            return _REASONS.get(code & 0xFF)
        return LOST if error.connection_invalidated else None

    def __str__(self) -> str:
        return f"sqlite:///{self._path}"

    @contextlib.asynccontextmanager
    async def _commit(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with engine.connect() as connection:
            await connection.begin()
            yield connection
            await connection.commit()
            # Only now is it sure that the write went to a file that others can still find.
            if connection.info["identity"] != _identity(self._path):
                raise FileReplaced(_REPLACED)


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # O_EXCL, since closing a file that is there already would drop the POSIX locks that this
    # process holds on it (https://www.sqlite.org/howtocorrupt.html section 2.2).
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


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
        record.info["opening"] = _device_and_inode(str(path))

    @event.listens_for(engine.sync_engine, "connect")
    def after_connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for statement in _PRAGMAS:
            cursor.execute(statement)
        cursor.close()
        identity = _identity(path)
        if identity[0] is None or identity[0] != record.info["opening"]:
            raise FileReplaced(_REPLACED)
        record.info["identity"] = identity
        record.info["unused"] = True

    @event.listens_for(engine.sync_engine, "checkout")
    def on_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        just_opened = record.info.pop("unused", False)
        if record.info["identity"] != _identity(path):
            # The pool opens another connection, but does not try for ever.
            raise FileReplaced(_REPLACED) if just_opened else DisconnectionError(_REPLACED)

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


def _identity(path: Path) -> _Identity:
    return tuple(_device_and_inode(f"{path}{suffix}") for suffix in _FILES)


def _device_and_inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
