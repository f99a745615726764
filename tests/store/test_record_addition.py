"""The hopeful way to create records: all that are asked for, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import delete, func, select

from pullpass.domain.audit import AuditAction, Event
from pullpass.domain.record import Record
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.audit_extension import Extension
from pullpass.store.audit_reading import AuditReader
from pullpass.store.changes import ChangeFeed, organization_feed
from pullpass.store.engine import Database
from pullpass.store.record_creation import NewRecord
from pullpass.store.records import RecordStore, StoredRecord
from pullpass.store.schema import audit_entries, changes, feeds, organizations
from pullpass.store.schema import records as table
from tests.store.values import NOW, a_record, an_event

pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
async def log(database: Database, records: RecordStore) -> AuditStore:
    """The log of an organization that has a record."""
    store = AuditStore(database, AuditKey(b"k" * 32))
    await store.append([an_event(action=AuditAction.CREATE_ORGANIZATION)])
    await records.create("acme", a_record("old", "old.io"), b"sealed", now=NOW)
    return store


def new(record_id: str, registry: str | None = None) -> NewRecord:
    return NewRecord(a_record(record_id, registry), record_id.encode())


def events(items: Sequence[NewRecord]) -> list[Event]:
    action = AuditAction.CREATE_REGISTRY
    return [an_event(number, action=action) for number in range(len(items))]


def sealed(log: AuditStore, items: Sequence[NewRecord]) -> Extension:
    extension = log.extension(events(items))
    assert extension is not None
    return extension


async def rows(database: Database) -> list[int]:
    """What a creation changes: how many rows, and where the feed and the chain end."""
    async with database.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(each))).scalar_one()
            for each in (table, changes, audit_entries)
        ]
        heads = (await connection.execute(select(func.sum(feeds.c.revision)))).scalar_one()
    return [*counts, int(heads)]


async def test_all_are_there_with_their_changes_and_their_entries(
    records: RecordStore, database: Database, log: AuditStore
) -> None:
    # More than one statement of SQLite takes.
    items = [new(f"id-{number}") for number in range(1203)]
    extension = sealed(log, items)
    created = await records.add("acme", items, now=NOW, log=extension)
    assert created is not None
    assert [each.version for each in created] == list(range(2, 1205))
    stored = await records.many("acme", [item.record.id for item in items])
    assert stored == {each.id: StoredRecord(each, each.id.encode()) for each in created}
    feed = await ChangeFeed(database).since(organization_feed("acme"), 1)
    assert feed is not None
    assert [(each.revision, each.kind, each.subject) for each in feed] == [
        (each.version, "record", each.id) for each in created
    ]
    log.extended(extension)
    again = await records.add("acme", [new("last")], now=NOW, log=sealed(log, [new("last")]))
    assert again is not None
    assert again[0].version == 1205
    assert len(await AuditReader(database).after("acme", 0, limit=2000)) == 1205


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([new("one"), new("old", "new.io")], id="id"),
        pytest.param([new("one"), new("two", "https://OLD.io/")], id="prefix"),
        pytest.param([new("one"), new("one", "new.io")], id="id-of-another-one"),
        pytest.param([new("one"), new("two", "one.example.com")], id="prefix-of-another-one"),
    ],
)
async def test_where_one_is_taken_nothing_is_done(
    records: RecordStore, database: Database, log: AuditStore, items: list[NewRecord]
) -> None:
    before = await rows(database)
    assert await records.add("acme", items, now=NOW, log=sealed(log, items)) is None
    assert await rows(database) == before
    # And the connections are as good as before.
    await records.create("acme", a_record("next"), None, now=NOW)
    assert await records.get("acme", "next") is not None


async def test_where_the_log_or_the_feed_is_another_nothing_is_done(
    records: RecordStore, database: Database, log: AuditStore
) -> None:
    items = [new("one"), new("two")]
    late = sealed(log, items)
    await log.append([an_event(3)])
    before = await rows(database)
    assert await records.add("acme", items, now=NOW, log=late) is None
    assert await rows(database) == before
    current = sealed(log, items)
    async with database.write() as connection:
        await connection.execute(delete(feeds))
    assert await records.add("acme", items, now=NOW, log=current) is None
    assert await records.revision("acme") == 0
    assert await records.get("acme", "one") is None


async def test_without_its_organization_nothing_is_done(
    records: RecordStore, database: Database, log: AuditStore
) -> None:
    extension = sealed(log, [new("one")])
    async with database.write() as connection:
        await connection.execute(delete(organizations))
    before = await rows(database)
    assert await records.add("acme", [new("one")], now=NOW, log=extension) is None
    assert await rows(database) == before


def test_a_log_that_is_not_known_cannot_be_gone_on_with(
    log: AuditStore, database: Database
) -> None:
    assert AuditStore(database, AuditKey(b"k" * 32)).extension([an_event()]) is None
    assert log.extension([an_event(organization="globex")]) is None


async def test_of_two_replicas_one_goes_first(
    records: RecordStore, database: Database, replica: Database, log: AuditStore
) -> None:
    async def create(opened: Database, names: list[str]) -> list[Record] | None:
        items = [new(name) for name in names]
        return await RecordStore(opened).add("acme", items, now=NOW, log=sealed(log, items))

    done = await asyncio.gather(
        create(database, ["one", "two"]), create(replica, ["two", "three", "four"])
    )
    won = [each for each in done if each is not None]
    assert len(won) == 1
    assert await records.revision("acme") == won[0][-1].version == 1 + len(won[0])
    page = await records.page("acme", after=None, limit=10)
    assert {each.id for each in page} == {"old", *(each.id for each in won[0])}
