"""The change feed: how every replica learns of every write.

A feed is a counter and the list of what changed at each of its values. A write transaction
first adds one to the counter, which locks that row until the transaction ends: the writers of a
feed queue up, so revisions become visible in their order and without gaps, and what a writer
reads after it is what the writer before has committed. Nothing but row locks is asked of the
database (no LISTEN, no sequences, no transaction ids), so the same holds on those that speak
PostgreSQL's language and are distributed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.store import engine, schema
from pullpass.store.engine import Database, in_chunks

IDENTITY_FEED = "identity"
# Beyond this, reading everything anew is cheaper than following.
_FOLLOW_LIMIT = 10_000


def organization_feed(organization: str) -> str:
    """The feed of an organization's records."""
    return f"org:{organization}"


def check_feed(organization: str) -> str:
    """The feed of what checks of an organization's records have come to."""
    return f"checks:{organization}"


def cluster_feed(organization: str) -> str:
    """The feed of what the agents of an organization's clusters report."""
    return f"clusters:{organization}"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened at one revision: ``kind`` says what ``subject`` is the id of."""

    feed: str
    revision: int
    kind: str
    subject: str


class ChangeFeed:
    """The reader's side: compare heads, then ask for what came since."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def heads(self, feeds: Collection[str]) -> dict[str, int]:
        """The newest revision of each feed; 0 for one that never changed."""
        heads = dict.fromkeys(feeds, 0)
        async with self._database.read() as connection:
            for chunk in in_chunks(heads):
                query = select(schema.feeds.c.feed, schema.feeds.c.revision).where(
                    schema.feeds.c.feed.in_(chunk)
                )
                heads.update((row.feed, row.revision) for row in await connection.execute(query))
        return heads

    async def since(self, feed: str, revision: int) -> list[Change] | None:
        """Every change after ``revision``, oldest first.

        None: they are not all there (pruned, too many to follow, or the database was set back
        to an older state), so the reader has to load everything anew.
        """
        async with self._database.read() as connection:
            head = await head_of(connection, feed)
            if not 0 <= head - revision <= _FOLLOW_LIMIT:
                return None
            query = (
                select(schema.changes.c.revision, schema.changes.c.kind, schema.changes.c.subject)
                .where(schema.changes.c.feed == feed, schema.changes.c.revision > revision)
                .order_by(schema.changes.c.revision)
            )
            found = [Change(feed, *row) for row in await connection.execute(query)]
        return found if len(found) == head - revision else None

    async def prune(self, older_than: datetime) -> int:
        """Forget the changes before ``older_than``; returns how many. Counters stay."""
        async with self._database.write() as connection:
            query = delete(schema.changes).where(schema.changes.c.at < older_than)
            return (await connection.execute(query)).rowcount


async def announce(
    connection: AsyncConnection, feed: str, kind: str, subject: str, now: datetime
) -> int:
    """Add a change to ``feed`` within a write transaction; returns its revision.

    To be called before anything else in the transaction reads or writes: see above.
    """
    revision = await advance(connection, feed, 1)
    await list_changes(connection, feed, revision, kind, [subject], now)
    return revision


async def advance(connection: AsyncConnection, feed: str, count: int) -> int:
    """Add ``count`` revisions to ``feed``, each of which :func:`list_changes` needs; returns the
    last one. As :func:`announce`, the first time in a transaction. Then also less, to give back.
    """
    counter = (
        engine.insert(connection, schema.feeds)
        .values(feed=feed, revision=count)
        .on_conflict_do_update(
            index_elements=[schema.feeds.c.feed],
            set_={"revision": schema.feeds.c.revision + count},
        )
        .returning(schema.feeds.c.revision)
    )
    revision: int = (await connection.execute(counter)).scalar_one()
    return revision


async def list_changes(
    connection: AsyncConnection,
    feed: str,
    first: int,
    kind: str,
    subjects: Sequence[str],
    now: datetime,
) -> None:
    """Say what changed at revision ``first`` of ``feed`` and at those after it."""
    rows = [
        {"feed": feed, "revision": revision, "kind": kind, "subject": subject, "at": now}
        for revision, subject in enumerate(subjects, first)
    ]
    await connection.execute(insert(schema.changes), rows)


async def head_of(connection: AsyncConnection, feed: str) -> int:
    """The newest revision of ``feed`` as the transaction sees it."""
    query = select(schema.feeds.c.revision).where(schema.feeds.c.feed == feed)
    revision: int | None = (await connection.execute(query)).scalar_one_or_none()
    return revision or 0
