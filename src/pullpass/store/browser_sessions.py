"""Sessions of browsers: a digest of the cookie's value, and the token that was signed in with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Delete, delete, exists, insert, literal, select

from pullpass.store.engine import Database
from pullpass.store.schema import browser_sessions, tokens


@dataclass(frozen=True, slots=True)
class StoredSession:
    """``token_digest`` is that of the token that the session stands for."""

    token_digest: str
    expires_at: datetime


class BrowserSessionStore:
    """A deleted token takes its sessions with it, by the foreign key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, digest: str, session: StoredSession, *, replaces: str | None) -> bool:
        """Store a session, in the place of the one with the digest ``replaces``.

        False: the token was deleted meanwhile.
        """
        token_is_there = exists().where(tokens.c.digest == session.token_digest)
        row = select(
            literal(digest),
            literal(session.token_digest),
            literal(session.expires_at, browser_sessions.c.expires_at.type),
        ).where(token_is_there)
        query = insert(browser_sessions).from_select(["digest", "token_digest", "expires_at"], row)
        async with self._database.write() as connection:
            if replaces is not None:
                await connection.execute(_deletion(replaces))
            return (await connection.execute(query)).rowcount == 1

    async def find(self, digest: str) -> StoredSession | None:
        query = select(browser_sessions.c.token_digest, browser_sessions.c.expires_at).where(
            browser_sessions.c.digest == digest
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else StoredSession(row.token_digest, row.expires_at)

    async def end(self, digest: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(_deletion(digest))

    async def purge(self, before: datetime) -> int:
        """Forget the sessions that ended before ``before``; returns how many."""
        query = delete(browser_sessions).where(browser_sessions.c.expires_at < before)
        async with self._database.write() as connection:
            return (await connection.execute(query)).rowcount


def _deletion(digest: str) -> Delete:
    return delete(browser_sessions).where(browser_sessions.c.digest == digest)
