"""The last check of each record: whether its credential worked at the live registry."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import and_, case, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.probe import ProbeCode, Status
from pullpass.store.changes import announce, check_feed
from pullpass.store.engine import Database, in_chunks, insert
from pullpass.store.schema import checks

CHANGE_KIND = "check"


class CheckStore:
    """A status belongs to one version of its record: a changed one was never checked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, organization: str, record_id: str, version: int, status: Status) -> Status:
        """Keep ``status`` unless a later one is there; returns the one that is there then.

        ``since`` stays from the check before where that came to the same (works, or does not).
        """
        row = {
            "version": version,
            "ok": status.ok,
            "code": status.code.value,
            "message": status.message,
            "checked_at": status.checked_at,
        }
        async with self._database.write() as connection:
            feed = check_feed(organization)
            await announce(connection, feed, CHANGE_KIND, record_id, status.checked_at)
            put = insert(connection, checks).values(
                organization_id=organization, record_id=record_id, since=status.since, **row
            )
            new = put.excluded
            same = and_(checks.c.version == new.version, checks.c.ok == new.ok)
            newest = put.on_conflict_do_update(
                index_elements=[checks.c.organization_id, checks.c.record_id],
                set_={
                    **{name: new[name] for name in row},
                    "since": case((same, checks.c.since), else_=new.since),
                },
                where=checks.c.checked_at <= new.checked_at,
            )
            await connection.execute(newest)
            found = await _find(connection, organization, [record_id])
        return found.get((record_id, version), status)

    async def of(
        self, organization: str, record_ids: Collection[str]
    ) -> dict[tuple[str, int], Status]:
        """The statuses of those records that have one, by id and version."""
        async with self._database.read() as connection:
            return await _find(connection, organization, record_ids)


async def drop_check(connection: AsyncConnection, organization: str, record_id: str) -> None:
    """Forget the status of a record, within the write that deletes it."""
    await connection.execute(
        delete(checks).where(
            checks.c.organization_id == organization, checks.c.record_id == record_id
        )
    )


async def _find(
    connection: AsyncConnection, organization: str, record_ids: Collection[str]
) -> dict[tuple[str, int], Status]:
    found = {}
    for chunk in in_chunks(record_ids):
        query = select(checks).where(
            checks.c.organization_id == organization, checks.c.record_id.in_(chunk)
        )
        for row in await connection.execute(query):
            status = Status(ProbeCode(row.code), row.message, row.checked_at, row.since)
            found[row.record_id, row.version] = status
    return found
