"""Records that are created together: each as if it came alone, in the order in which they came."""

from __future__ import annotations

import asyncio

import pytest

from pullpass.domain.audit import AuditAction
from pullpass.domain.errors import Conflict, NotFound
from pullpass.domain.record import Record
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.audit_reading import AuditReader
from pullpass.store.changes import ChangeFeed, organization_feed
from pullpass.store.engine import Database
from pullpass.store.record_creation import NewRecord
from pullpass.store.records import RecordStore, StoredRecord
from tests.store.values import NOW, a_record, an_event

pytestmark = pytest.mark.usefixtures("admin")


def new(record_id: str, registry: str | None = None) -> NewRecord:
    return NewRecord(a_record(record_id, registry), record_id.encode())


def told(outcome: Record | Conflict) -> object:
    if isinstance(outcome, Conflict):
        return outcome.code, outcome.details["registry_id"]
    return outcome.id


async def test_of_those_that_want_the_same_the_first_gets_it(
    records: RecordStore, database: Database
) -> None:
    before = await records.create("acme", a_record("old", "old.io"), None, now=NOW)
    batch = [
        new("one"),
        new("one", "other.io"),
        new("two", "one.example.com"),
        new("three"),
        new("old", "new.io"),
        new("four", "https://OLD.io/"),
        new("two"),
        # What a loser wanted is not taken.
        new("five", "other.io"),
    ]
    outcomes = await records.create_many("acme", batch, now=NOW)
    assert [told(outcome) for outcome in outcomes] == [
        "one",
        ("registry_id_taken", "one"),
        ("registry_taken", "one"),
        "three",
        ("registry_id_taken", "old"),
        ("registry_taken", "old"),
        "two",
        "five",
    ]
    created = [outcome for outcome in outcomes if isinstance(outcome, Record)]
    assert [each.version for each in created] == [before.version + 1 + n for n in range(4)]
    for each in created:
        stored = StoredRecord(each, each.id.encode())
        assert await records.get("acme", each.id) == stored
    changes = await ChangeFeed(database).since(organization_feed("acme"), before.version)
    assert changes is not None
    assert [change.subject for change in changes] == ["one", "three", "two", "five"]
    assert (await records.create("acme", a_record("six"), None, now=NOW)).version == (
        before.version + 5
    )


async def test_where_all_are_taken_nothing_is_written(records: RecordStore) -> None:
    await records.create("acme", a_record("old"), None, now=NOW)
    head = await records.revision("acme")
    outcomes = await records.create_many("acme", [new("old"), new("old", "x.io")], now=NOW)
    assert [told(outcome) for outcome in outcomes] == [("registry_id_taken", "old")] * 2
    assert await records.revision("acme") == head
    with pytest.raises(NotFound):
        await records.create_many("initech", [new("one"), new("two")], now=NOW)


async def test_replicas_and_organizations_create_at_the_same_time(
    records: RecordStore, database: Database, replica: Database
) -> None:
    stores = [(each, AuditStore(each, AuditKey(b"k" * 32))) for each in (database, replica)]
    begin = AuditAction.CREATE_ORGANIZATION
    await stores[0][1].append(
        [an_event(organization=each, action=begin) for each in ("acme", "globex")]
    )

    async def create(number: int, organization: str, batch: int) -> list[Record | Conflict]:
        opened, audit = stores[number]
        items = [
            NewRecord(
                a_record(f"id-{batch}-{n}"),
                None,
                an_event(n, organization=organization, action=AuditAction.CREATE_REGISTRY),
            )
            for n in range(20)
        ]
        return await RecordStore(opened).create_many(
            organization,
            items,
            now=NOW,
            audit=lambda won: audit.recording([each.event for each in won if each.event]),
        )

    # Each of the batches comes on both replicas.
    given = [(n, name, batch) for batch in range(3) for name in ("acme", "globex") for n in (0, 1)]
    done = await asyncio.gather(*(create(*each) for each in given))
    for organization in ("acme", "globex"):
        outcomes = [
            outcome
            for (_, name, _), found in zip(given, done, strict=True)
            if name == organization
            for outcome in found
        ]
        created = {each.id: each.version for each in outcomes if isinstance(each, Record)}
        assert len(outcomes) == 2 * len(created) == 120
        assert sorted(created.values()) == list(range(1, 61))
        page = await records.page(organization, after=None, limit=100)
        assert {each.id: each.version for each in page} == created
        logged = await AuditReader(database).after(organization, 1, limit=100)
        assert [each.sequence for each in logged] == list(range(2, 62))
