"""What only PostgreSQL needs: how to connect, time limits, and what its errors mean."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg
from sqlalchemy import NullPool, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from pullpass.domain.errors import InvalidInput
from pullpass.store.audit_extension import (
    Continuation,
    Extension,
    continue_postgresql,
    extend_postgresql,
)
from pullpass.store.failures import LOST, NO_TABLES, TIMED_OUT
from pullpass.store.record_addition import Addition, add_postgresql

_CONNECT_SECONDS = 3.0
_STATEMENT_SECONDS = 5.0
_WAIT_SECONDS = 5.0
_POOL_SIZE = 10
# What was in use so short a time ago is taken to be still there, as between one write and the next
# of a busy server.
_SURE_SECONDS = 0.01
# A replica that was frozen inside a transaction must not hold its row locks for ever.
_IDLE_IN_TRANSACTION_SECONDS = 30
# Any number that no other program takes: "pullpass" in ASCII.
_MIGRATION_LOCK = int.from_bytes(b"pullpass", "big")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")

# https://www.postgresql.org/docs/current/errcodes-appendix.html; a code goes before its class.
_REASONS = {
    "08": LOST,
    "25006": "it is read-only",
    "25P03": "the transaction took too long",
    "28": "it refuses the configured user name or password",
    "3D000": "there is no database of the configured name",
    "40": "the transaction clashed with another one; try again",
    "42501": "the configured database user lacks a permission",
    "42P01": NO_TABLES,
    "53": "the database server has no resources left",
    "53100": "the disk of the database server is full",
    "53200": "the database server has no memory left",
    "53300": "the database server takes no more connections",
    "55": "it is locked",
    "57": "the database server interrupted the request",
    "57P01": "the database server is shutting down",
    "57P02": "the database server crashed",
    "57P03": "the database server is starting up or shutting down",
    "58": "the database server reports a system error",
    "XX": "the database server reports an internal error",
}


class PostgresBackend:
    """A PostgreSQL server and the connections to it; the first use connects."""

    dialect: Literal["postgresql"] = "postgresql"
    probe = "SELECT 1"
    errors = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2]
        if parts.netloc.count("@") > 1 or not all(
            _HOST_AND_PORT.fullmatch(host) for host in hosts.split(",")
        ):
            raise _invalid_url()
        self._label = f"postgresql://{hosts}{parts.path}"
        self._engine = create_async_engine(
            # The address stays out of the engine's URL, and so out of its repr.
            "postgresql+asyncpg://",
            async_creator=_connector(url, _STATEMENT_SECONDS),
            pool_size=_POOL_SIZE,
            max_overflow=0,
            pool_timeout=_WAIT_SECONDS,
            pool_use_lifo=True,
            hide_parameters=True,
        )
        self._reader = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._patient = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connector(url, None),
            poolclass=NullPool,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "checkin", _note_last_use)
        event.listen(self._engine.sync_engine, "checkout", _try_out)
        for engine in (self._engine, self._patient):
            event.listen(engine.sync_engine, "handle_error", _drop_after_time_out)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def migration(self) -> AsyncIterator[AsyncConnection]:
        async with self._patient.connect() as connection:
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            await connection.execute(lock, {"key": _MIGRATION_LOCK})
            yield connection
            await connection.commit()

    async def extend_chains(self, extensions: Sequence[Extension]) -> bool:
        try:
            async with self._driver() as connection:
                return await extend_postgresql(connection, extensions)
        except asyncpg.IntegrityConstraintViolationError:
            return False

    async def continue_chain(self, continuation: Continuation) -> bool:
        try:
            async with self._driver() as connection:
                return await continue_postgresql(connection, continuation)
        except asyncpg.IntegrityConstraintViolationError:
            return False

    async def add_records(self, addition: Addition) -> int:
        async with self._driver() as connection:
            try:
                return await add_postgresql(connection, addition)
            except asyncpg.IntegrityConstraintViolationError:
                # Nothing is left of a statement alone; of a transaction there are its locks.
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
                return 0

    @asynccontextmanager
    async def _driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the driver itself, which an error ends."""
        async with self._engine.connect() as connection:
            pooled = await connection.get_raw_connection()
            try:
                yield pooled.driver_connection
            except BaseException:
                # A transaction may have been left open, or a statement unanswered.
                await connection.invalidate()
                raise

    async def close(self) -> None:
        await self._engine.dispose()

    @staticmethod
    def explain(error: Exception) -> str | None:
        """The cause in plain words, where the error means that the database cannot answer now."""
        if isinstance(error, TimeoutError):
            return TIMED_OUT
        if isinstance(error, OSError):
            return "the database server cannot be reached"
        cause: BaseException | None = error
        if isinstance(error, DBAPIError):
            cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, asyncpg.InvalidCachedStatementError):
            return "its tables were just changed by a newer version; try again"
        state = getattr(cause, "sqlstate", None) or ""
        reason = _REASONS.get(state) or _REASONS.get(state[:2])
        if reason is not None:
            return reason
        # asyncpg's own errors are about the connection, except those about an argument of ours. An
        # internal one: a server that crashes may leave the answer to a statement unfinished.
        of_client = isinstance(cause, (asyncpg.InterfaceError, asyncpg.InternalClientError))
        about_argument = isinstance(cause, asyncpg.DataError)
        invalidated = getattr(error, "connection_invalidated", False)
        return LOST if invalidated or (of_client and not about_argument) else None

    def __str__(self) -> str:
        return self._label


def _note_last_use(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _try_out(connection: Any, record: Any, _proxy: Any) -> None:
    """Ask whether the server is still there, as SQLAlchemy's ``pool_pre_ping`` would every time:
    that takes longer than most of what is asked next.
    """
    used = record.info.get("used")
    if used is None or time.monotonic() - used < _SURE_SECONDS:
        return
    try:
        connection.ping()
    except connection.dbapi.Error as error:
        raise InvalidatePoolError from error


def _drop_after_time_out(context: ExceptionContext) -> None:
    # The server may still be busy with the statement: the connection must not be used again.
    if isinstance(context.original_exception, OSError):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _connector(
    url: str, statement_seconds: float | None
) -> Callable[[], Awaitable[asyncpg.Connection]]:
    options = _host_options(url)

    async def connect() -> asyncpg.Connection:
        try:
            connection: asyncpg.Connection = await asyncpg.connect(
                url, timeout=_CONNECT_SECONDS, command_timeout=statement_seconds, **options
            )
        except (asyncpg.ClientConfigurationError, ValueError):
            # Its message may repeat a part of the URL, and so of the password.
            raise _invalid_url() from None
        try:
            # Not as start-up parameters: connection poolers refuse those they do not know.
            await connection.execute(
                "SET application_name = 'pullpass'; SET idle_in_transaction_session_timeout = "
                f"'{_IDLE_IN_TRANSACTION_SECONDS}s'"
            )
        except BaseException:
            connection.terminate()
            raise
        return connection

    return connect


def _host_options(url: str) -> dict[str, Any]:
    """Where a URL names the host twice, libpq takes the one of the query, asyncpg the other."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if "host" not in query or not parts.netloc.rpartition("@")[2]:
        return {}
    try:
        port = int(query["port"][-1]) if "port" in query else parts.port
    except ValueError:
        raise _invalid_url() from None
    return {"host": query["host"][-1], **({} if port is None else {"port": port})}


def _invalid_url() -> InvalidInput:
    return InvalidInput(
        "The database URL cannot be used: check its host, its port and its options. "
        "In a password, '@', ':', '/', '?', '#' and '%' are written as %40, %3A and so on.",
        code="invalid_database_url",
    )
