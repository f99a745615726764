"""A connection to the SQLite file in a thread of its own, for a whole transaction in one go.

The other connections change threads for each statement, which takes longer than most statements.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pullpass.store.sqlite_file import PRAGMAS, FileReplaced, Identity, device_and_inode, identity

T = TypeVar("T")


class OneHopWriter:
    """Opens the file at ``path``, which is there, when it is first used."""

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Commit what ``work`` does where what it returns is true, else roll it back; returns that.

        Raises:
            sqlite3.Error: nothing was written, unless the commit itself failed.
            FileReplaced: it was written to a file that nobody finds any more.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="pullpass-sqlite")
        stale = self._identity != identity(self._path)
        loop = asyncio.get_running_loop()
        done = await loop.run_in_executor(self._thread, self._transact, work, stale)
        if self._identity != identity(self._path):
            raise FileReplaced
        return done

    async def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(thread, self._drop)
            thread.shutdown(wait=False)

    def _transact(self, work: Callable[[sqlite3.Connection], T], stale: bool) -> T:
        if stale:
            self._drop()
        connection = self._connection or self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            done = work(connection)
            connection.execute("COMMIT" if done else "ROLLBACK")
        except BaseException:
            # Closing ends the transaction, in whatever state it is.
            self._drop()
            raise
        return done

    def _connect(self) -> sqlite3.Connection:
        opening = device_and_inode(str(self._path))
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
        )
        self._connection = connection
        try:
            for statement in PRAGMAS:
                connection.execute(statement)
            self._identity = identity(self._path)
            if opening is None or self._identity[0] != opening:
                raise FileReplaced
        except BaseException:
            self._drop()
            raise
        return connection

    def _drop(self) -> None:
        connection, self._connection, self._identity = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            connection.close()
