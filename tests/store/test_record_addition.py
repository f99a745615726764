"""The hopeful way to create records: all that are asked for, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import delete, func, select, update

from pullpass.domain.audit import AuditAction, Event
from pullpass.domain.record import Record
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.audit_extension import Log
from pullpass.store.audit_reading import AuditReader
from pullpass.store.changes import ChangeFeed, organization_feed
from pullpass.store.engine import Database
from pullpass.store.record_creation import NewRecord
from pullpass.store.records import RecordStore, StoredRecord
from pullpass.store.schema import audit_chains, audit_entries, changes, feeds, organizations
from pullpass.store.schema import records as table
from tests.store.values import NOW, a_record, an_event

pytestmark = pytest.mark.usefixtures("admin")

KEY = AuditKey(b"k" * 32)


@pytest.fixture
async def log(database: Database, records: RecordStore) -> AuditStore:
    """The log of an organization that has a record."""
    store = AuditStore(database, KEY)
    await store.append([an_event(action=AuditAction.CREATE_ORGANIZATION)])
    await records.create("acme", a_record("old", "old.io"), b"sealed", now=NOW)
    return store


def new(record_id: str, registry: str | None = None) -> NewRecord:
    return NewRecord(a_record(record_id, registry), record_id.encode())


def events(items: Sequence[NewRecord]) -> list[Event]:
    action = AuditAction.CREATE_REGISTRY
    return [an_event(number, action=action) for number in range(len(items))]


async def add(
    database: Database, log: AuditStore, items: Sequence[NewRecord]
) -> list[Record] | None:
    created: list[Record] = []

    async def put(log: Log) -> bool:
        added = await RecordStore(database).add("acme", items, now=NOW, log=log)
        created.extend(added or ())
        return added is not None

    return created if await log.extend(events(items), put) else None


async def rows(database: Database) -> list[int]:
    """What a creation changes: how many rows, and where the feed and the chain end."""
    async with database.read() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(each))).scalar_one()
            for each in (table, changes, audit_entries)
        ]
        heads = (await connection.execute(select(func.sum(feeds.c.revision)))).scalar_one()
    return [*counts, int(heads or 0)]


async def test_all_are_there_with_their_changes_and_their_entries(
    records: RecordStore, database: Database, log: AuditStore
) -> None:
    # More than one statement of SQLite takes.
    items = [new(f"id-{number}") for number in range(1203)]
    created = await add(database, log, items)
    assert created is not None
    assert [each.version for each in created] == list(range(2, 1205))
    stored = await records.many("acme", [item.record.id for item in items])
    assert stored == {each.id: StoredRecord(each, each.id.encode()) for each in created}
    feed = await ChangeFeed(database).since(organization_feed("acme"), 1)
    assert feed is not None
    assert [(each.revision, each.kind, each.subject) for each in feed] == [
        (each.version, "record", each.id) for each in created
    ]
    again = await add(database, log, [new("last")])
    assert again is not None
    assert again[0].version == 1205
    logged = await AuditReader(database).after("acme", 0, limit=2000)
    assert [each.sequence for each in logged] == list(range(1, 1206))


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
    # One that knows where the log ends, and one that locks it to see.
    for store in (log, AuditStore(database, KEY)):
        assert await add(database, store, items) is None
        assert await rows(database) == before
    # And everything is as good as before.
    for name, store in (("next", log), ("last", AuditStore(database, KEY))):
        assert await add(database, store, [new(name)]) is not None
        assert await records.get("acme", name) is not None


async def test_where_the_log_went_on_elsewhere_it_is_gone_on_with_from_there(
    database: Database, log: AuditStore
) -> None:
    other = AuditStore(database, KEY)
    await other.append([an_event(3)])
    for number, store in enumerate((log, other, log, AuditStore(database, KEY))):
        assert await add(database, store, [new(f"id-{number}")]) is not None
    logged = await AuditReader(database).after("acme", 0, limit=100)
    assert [each.sequence for each in logged] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("forged", [{"sequence": 0}, {"hash": b"h" * 32}, {"seal": b"s" * 32}])
async def test_where_the_end_of_the_log_is_forged_nothing_is_done(
    database: Database, log: AuditStore, forged: dict[str, object]
) -> None:
    async with database.write() as connection:
        await connection.execute(update(audit_chains).values(forged))
    before = await rows(database)
    for store in (log, AuditStore(database, KEY)):
        assert await add(database, store, [new("one")]) is None
        assert await rows(database) == before


async def test_without_a_feed_or_an_organization_nothing_is_done(
    database: Database, log: AuditStore
) -> None:
    for missing in (feeds, organizations):
        async with database.write() as connection:
            await connection.execute(delete(missing))
        before = await rows(database)
        for store in (log, AuditStore(database, KEY)):
            assert await add(database, store, [new("one")]) is None
            assert await rows(database) == before


async def test_of_two_replicas_one_goes_first(
    records: RecordStore, database: Database, replica: Database, log: AuditStore
) -> None:
    async def create(opened: Database, names: list[str]) -> list[Record] | None:
        items = [new(name) for name in names]
        sealed: list[Log] = []

        async def later(log: Log) -> bool:
            sealed.append(log)
            return False

        await log.extend(events(items), later)
        return await RecordStore(opened).add("acme", items, now=NOW, log=sealed[0])

    done = await asyncio.gather(
        create(database, ["one", "two"]), create(replica, ["three", "four", "five"])
    )
    won = [each for each in done if each is not None]
    assert len(won) == 1
    assert await records.revision("acme") == won[0][-1].version == 1 + len(won[0])
    page = await records.page("acme", after=None, limit=10)
    assert {each.id for each in page} == {"old", *(each.id for each in won[0])}


async def test_replicas_that_create_at_the_same_time_all_do_it_this_way(
    database: Database, replica: Database, log: AuditStore
) -> None:
    other = AuditStore(replica, KEY)
    created = await asyncio.gather(
        *(add(database, log, [new(f"one-{number}")]) for number in range(10)),
        *(add(replica, other, [new(f"two-{number}")]) for number in range(10)),
    )
    versions = [each[0].version for each in created if each is not None]
    assert sorted(versions) == list(range(2, 22))
    logged = await AuditReader(database).after("acme", 0, limit=100)
    assert [each.sequence for each in logged] == list(range(1, 22))


async def test_reads_and_creations_of_a_process_take_turns(
    database: Database, log: AuditStore
) -> None:
    async def create(number: int) -> list[Record] | None:
        return await add(database, log, [new(f"id-{number}")])

    reads = [log.append([an_event(number)]) for number in range(20)]
    created = await asyncio.gather(*(create(number) for number in range(20)), *reads)
    # None of them met a log that ends elsewhere.
    assert None not in created[:20]
    logged = await AuditReader(database).after("acme", 0, limit=100)
    assert [each.sequence for each in logged] == list(range(1, 42))
