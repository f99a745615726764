"""Registry records and their sealed credentials, per organization."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import Conflict
from pullpass.domain.record import EVERY_RECORD, Health, Record, RecordFilter
from pullpass.store.all_rows import all_rows
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.audit_extension import Log
from pullpass.store.changes import announce, head_of, organization_feed
from pullpass.store.checks import drop_check
from pullpass.store.engine import Database, in_chunks
from pullpass.store.issued import drop_issued
from pullpass.store.record_creation import (
    CHANGE_KIND,
    NewRecord,
    added,
    addition,
    create_records,
    prefix_taken,
)
from pullpass.store.record_filter import conditions, counts
from pullpass.store.record_lookup import Key, conditions_for
from pullpass.store.record_rows import COLUMNS, changeable, record_of
from pullpass.store.schema import records

# Work on so many takes about a millisecond: then others go on.
AT_A_TIME = 200
_SELECT = select(*COLUMNS, records.c.sealed_creds)


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
        query = _SELECT.where(*_key(organization, record_id))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _stored(row)

    async def many(self, organization: str, record_ids: Collection[str]) -> dict[str, StoredRecord]:
        """Those of the records that are there, by id."""
        found = {}
        async with self._database.read() as connection:
            for chunk in in_chunks(record_ids):
                query = _SELECT.where(
                    records.c.organization_id == organization, records.c.id.in_(chunk)
                )
                for stored in await _all_stored(connection, query):
                    found[stored.record.id] = stored
        return found

    async def known_by(
        self, organization: str, keys: Collection[Key]
    ) -> tuple[int, list[StoredRecord]]:
        """The head of the change feed, and with it those that have one of ``keys``."""
        found: list[StoredRecord] = []
        async with self._database.read() as connection:
            head = await head_of(connection, organization_feed(organization))
            for chunk in in_chunks(keys):
                for condition in await conditions_for(connection, organization, chunk):
                    found += await _all_stored(connection, _SELECT.where(condition))
        return head, found

    async def behind(
        self, organization: str, after: str | None, limit: int
    ) -> tuple[int, list[StoredRecord]]:
        """The head of the change feed, and with it up to ``limit`` records in the order of their
        ids, from the one behind ``after`` on.
        """
        query = (
            _SELECT.where(records.c.organization_id == organization, *_behind(after))
            .order_by(records.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            head = await head_of(connection, organization_feed(organization))
            return head, await _all_stored(connection, query)

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
            select(*COLUMNS)
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

    async def add(
        self, organization: str, items: Sequence[NewRecord], *, now: datetime, log: Log
    ) -> list[Record] | None:
        """As :meth:`create_many`, all of them with ``log``, and as fast as it goes. None: nothing
        was done, since not all can be created, or ``log`` does not go on from where it ends.

        Raises:
            StoreUnavailable: as :meth:`Database.write`.
        """
        wanted = addition(organization, items, now, log)
        if wanted is None:
            return None
        head = await self._database.add_records(wanted)
        return added(items, now, head) if head else None

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
                .returning(*COLUMNS)
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


def _stored(row: Sequence[Any]) -> StoredRecord:
    *values, sealed = row
    return StoredRecord(record_of(values), sealed)


async def _all_stored(
    connection: AsyncConnection, query: Select[*tuple[Any, ...]]
) -> list[StoredRecord]:
    found = []
    for row in await all_rows(connection, query):
        found.append(_stored(row))
        if len(found) % AT_A_TIME == 0:
            await asyncio.sleep(0)
    return found


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
