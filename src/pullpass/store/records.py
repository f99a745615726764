"""Registry records and their sealed credentials, per organization."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import Conflict
from pullpass.domain.record import EVERY_RECORD, Health, Record, RecordFilter
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.changes import announce, head_of, organization_feed
from pullpass.store.checks import drop_check
from pullpass.store.engine import Database, in_chunks
from pullpass.store.issued import drop_issued
from pullpass.store.record_creation import CHANGE_KIND, NewRecord, create_records, prefix_taken
from pullpass.store.record_filter import conditions, counts
from pullpass.store.record_rows import changeable, record_of
from pullpass.store.schema import records

_STREAM_CHUNK = 1000
_COLUMNS = (
    records.c.id,
    records.c.registry,
    records.c.prefix,
    records.c.type,
    records.c.enable_ci,
    records.c.secrets,
    records.c.options,
    records.c.created_at,
    records.c.created_by,
    records.c.version,
)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record with its credential as the sealing left it; None where it has none."""

    record: Record
    sealed: bytes | None = field(repr=False)


class RecordStore:
    """Each write goes to the organization's change feed, in the same transaction, and so does
    what ``audit`` adds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, organization: str, record_id: str) -> StoredRecord | None:
        return (await self.many(organization, [record_id])).get(record_id)

    async def many(self, organization: str, record_ids: Collection[str]) -> dict[str, StoredRecord]:
        """Those of the records that are there, by id."""
        found = {}
        async with self._database.read() as connection:
            for chunk in in_chunks(record_ids):
                query = select(*_COLUMNS, records.c.sealed_creds).where(
                    records.c.organization_id == organization, records.c.id.in_(chunk)
                )
                for row in await connection.execute(query):
                    found[row.id] = StoredRecord(record_of(row), row.sealed_creds)
        return found

    async def some(
        self, organization: str, *, ids: Collection[str], prefixes: Collection[str]
    ) -> tuple[int, list[StoredRecord]]:
        """Those with one of the ids or prefixes, and the head of the change feed with them."""
        return await self._found(
            organization, records.c.id.in_(ids) | records.c.prefix.in_(prefixes)
        )

    async def wildcards(self, organization: str) -> tuple[int, list[StoredRecord]]:
        """Those whose prefix has a `*`, and the head of the change feed with them."""
        # From the index of prefixes alone: the records themselves may be many times as large.
        inner = select(records.c.prefix).where(
            records.c.organization_id == organization, records.c.prefix.contains("*")
        )
        return await self._found(organization, records.c.prefix.in_(inner))

    async def _found(
        self, organization: str, condition: ColumnElement[bool]
    ) -> tuple[int, list[StoredRecord]]:
        query = select(*_COLUMNS, records.c.sealed_creds).where(
            records.c.organization_id == organization, condition
        )
        async with self._database.read() as connection:
            head = await head_of(connection, organization_feed(organization))
            rows = await connection.execute(query)
            return head, [StoredRecord(record_of(row), row.sealed_creds) for row in rows]

    async def page(
        self,
        organization: str,
        *,
        after: str | None,
        limit: int,
        wanted: RecordFilter = EVERY_RECORD,
    ) -> list[Record]:
        """Up to ``limit`` records in the order of their ids, from the one behind ``after`` on."""
        query = (
            select(*_COLUMNS)
            .where(*conditions(organization, wanted), *_behind(after))
            .order_by(records.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [record_of(row) for row in await connection.execute(query)]

    async def count(self, organization: str, wanted: RecordFilter) -> dict[Health, int]:
        """How many records there are of each health."""
        query = counts(organization, wanted)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {Health(row.health): row.number for row in rows}

    async def stream(self, organization: str) -> AsyncIterator[list[StoredRecord]]:
        """All records, in chunks, in the order of their ids: one state of the database.

        A connection is held until the last chunk is taken or the iterator is closed.
        """
        after: str | None = None
        async with self._database.read() as connection:
            while True:
                query = (
                    select(*_COLUMNS, records.c.sealed_creds)
                    .where(records.c.organization_id == organization, *_behind(after))
                    .order_by(records.c.id)
                    .limit(_STREAM_CHUNK)
                )
                rows = (await connection.execute(query)).all()
                if rows:
                    yield [StoredRecord(record_of(row), row.sealed_creds) for row in rows]
                if len(rows) < _STREAM_CHUNK:
                    return
                after = rows[-1].id

    async def revision(self, organization: str) -> int:
        """The head of the organization's change feed."""
        async with self._database.read() as connection:
            return await head_of(connection, organization_feed(organization))

    async def create(
        self,
        organization: str,
        record: Record,
        sealed: bytes | None,
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> Record:
        """Returns the record as stored, with its version; ``created_at`` is ``now`` if None.

        Raises:
            Conflict: `registry_id_taken` or `registry_taken`; ``details`` has the ``field`` and
                the ``registry_id`` of the record that is there.
            NotFound: there is no such organization.
        """
        [outcome] = await self.create_many(
            organization, [NewRecord(record, sealed)], now=now, audit=lambda _: audit
        )
        if isinstance(outcome, Conflict):
            raise outcome
        return outcome

    async def create_many(
        self,
        organization: str,
        items: Sequence[NewRecord],
        *,
        now: datetime,
        audit: Callable[[Sequence[NewRecord]], Recording] = lambda _: unrecorded,
    ) -> list[Record | Conflict]:
        """Create those that can be, in one transaction; what came of each, in their order.

        Of those that want the same id or prefix the first gets it. A Conflict is as in
        :meth:`create`; ``audit`` is asked for what to add for those that are created.

        Raises:
            NotFound: there is no such organization.
        """
        async with self._database.write() as connection:
            outcomes = await create_records(connection, organization, items, now)
            created = [
                item
                for item, outcome in zip(items, outcomes, strict=True)
                if isinstance(outcome, Record)
            ]
            if created:
                await audit(created)(connection)
            else:
                await connection.rollback()
        return outcomes

    async def replace(
        self,
        organization: str,
        record: Record,
        sealed: bytes | None,
        *,
        if_version: int,
        now: datetime,
        ends_identity: str | None = None,
        audit: Recording = unrecorded,
    ) -> Record | None:
        """Overwrite the record of that id, except who created it and when.

        ``ends_identity``: what was issued from this identity is forgotten with it. None: it is
        gone, or its version is not ``if_version``.

        Raises:
            Conflict: `registry_taken`, as in :meth:`create`.
        """
        async with self._database.write() as connection:
            version = await _announce(connection, organization, record.id, now)
            if await _version(connection, organization, record.id) != if_version:
                await connection.rollback()
                return None
            await _require_free_prefix(connection, organization, record)
            query = (
                update(records)
                .where(*_key(organization, record.id))
                .values(version=version, **changeable(record, sealed))
                .returning(*_COLUMNS)
            )
            if ends_identity is not None:
                await drop_issued(connection, organization, ends_identity)
            replaced = record_of((await connection.execute(query)).one())
            await audit(connection)
            return replaced

    async def delete(
        self,
        organization: str,
        record_id: str,
        *,
        if_version: int | None,
        now: datetime,
        ends_identity: str | None = None,
        audit: Recording = unrecorded,
    ) -> bool:
        """Whether it was deleted: False where it is gone, or its version is another.

        ``ends_identity``: as in :meth:`replace`.
        """
        async with self._database.write() as connection:
            await _announce(connection, organization, record_id, now)
            version = await _version(connection, organization, record_id)
            if version is None or if_version not in (None, version):
                await connection.rollback()
                return False
            await connection.execute(delete(records).where(*_key(organization, record_id)))
            await drop_check(connection, organization, record_id)
            if ends_identity is not None:
                await drop_issued(connection, organization, ends_identity)
            await audit(connection)
        return True


async def _announce(
    connection: AsyncConnection, organization: str, record_id: str, now: datetime
) -> int:
    return await announce(connection, organization_feed(organization), CHANGE_KIND, record_id, now)


async def _require_free_prefix(
    connection: AsyncConnection, organization: str, record: Record
) -> None:
    query = select(records.c.id).where(
        records.c.organization_id == organization,
        records.c.prefix == str(record.prefix),
        records.c.id != record.id,
    )
    owner = (await connection.execute(query)).scalar_one_or_none()
    if owner is not None:
        raise prefix_taken(record, owner)


async def _version(connection: AsyncConnection, organization: str, record_id: str) -> int | None:
    query = select(records.c.version).where(*_key(organization, record_id))
    version: int | None = (await connection.execute(query)).scalar_one_or_none()
    return version


def _key(organization: str, record_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return records.c.organization_id == organization, records.c.id == record_id


def _behind(after: str | None) -> list[ColumnElement[bool]]:
    return [] if after is None else [records.c.id > after]
