"""The checks of each record, whether its credential worked at the live registry: the last one,
and what they have come to over time.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.probe import CheckRun, ProbeCode, Status
from pullpass.store import engine
from pullpass.store.changes import announce, check_feed
from pullpass.store.engine import Database, in_chunks
from pullpass.store.schema import check_runs, checks

CHANGE_KIND = "check"
# Of each record, whatever happens: one that fails and works by turns pushes its own past out.
RUNS_KEPT = 50


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
            put = engine.insert(connection, checks).values(
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
            await _add_to_history(connection, organization, record_id, status)
            found = await _find(connection, organization, [record_id])
        return found.get((record_id, version), status)

    async def of(
        self, organization: str, record_ids: Collection[str]
    ) -> dict[tuple[str, int], Status]:
        """The statuses of those records that have one, by id and version."""
        async with self._database.read() as connection:
            return await _find(connection, organization, record_ids)

    async def history(self, organization: str, record_id: str) -> list[CheckRun]:
        """Up to :data:`RUNS_KEPT` runs of checks that came to the same, oldest first, whichever
        version of the record they were of.
        """
        of_record = _of_record(organization, record_id)
        query = select(check_runs).where(*of_record).order_by(check_runs.c.number)
        async with self._database.read() as connection:
            return [
                CheckRun(ProbeCode(row.code), row.began_at, row.ended_at, row.checks)
                for row in await connection.execute(query)
            ]


async def drop_check(connection: AsyncConnection, organization: str, record_id: str) -> None:
    """Forget the status and the history of a record, within the write that deletes it."""
    await connection.execute(delete(check_runs).where(*_of_record(organization, record_id)))
    await connection.execute(
        delete(checks).where(
            checks.c.organization_id == organization, checks.c.record_id == record_id
        )
    )


async def _add_to_history(
    connection: AsyncConnection, organization: str, record_id: str, status: Status
) -> None:
    """Within a transaction that has announced itself, so that no other one numbers runs. A check
    that began before the last one that is told of is left out.
    """
    of_record = _of_record(organization, record_id)
    query = select(check_runs).where(*of_record).order_by(check_runs.c.number.desc()).limit(1)
    last = (await connection.execute(query)).one_or_none()
    if last is not None and last.ended_at > status.checked_at:
        return
    if last is not None and last.code == status.code:
        longer = {"ended_at": status.checked_at, "checks": last.checks + 1}
        this = check_runs.c.number == last.number
        await connection.execute(update(check_runs).where(*of_record, this).values(longer))
        return
    number = 1 if last is None else last.number + 1
    await connection.execute(
        insert(check_runs).values(
            organization_id=organization,
            record_id=record_id,
            number=number,
            code=status.code.value,
            began_at=status.checked_at,
            ended_at=status.checked_at,
            checks=1,
        )
    )
    too_old = check_runs.c.number <= number - RUNS_KEPT
    await connection.execute(delete(check_runs).where(*of_record, too_old))


def _of_record(
    organization: str, record_id: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return check_runs.c.organization_id == organization, check_runs.c.record_id == record_id


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
