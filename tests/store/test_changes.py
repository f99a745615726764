from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import text

from pullpass.domain.errors import Conflict, StoreUnavailable
from pullpass.store.changes import Change, ChangeFeed, announce
from pullpass.store.engine import Database
from pullpass.store.records import RecordStore
from tests.store.values import NOW, a_record


async def test_a_feed_starts_at_zero(database: Database) -> None:
    feed = ChangeFeed(database)
    assert await feed.heads(["identity", "org:acme"]) == {"identity": 0, "org:acme": 0}
    assert await feed.since("identity", 0) == []
    assert await feed.heads([]) == {}


@pytest.mark.usefixtures("admin")
async def test_every_write_is_seen_by_the_other_replica(
    records: RecordStore, replica: Database
) -> None:
    created = await records.create("acme", a_record("ghcr"), None, now=NOW)
    replaced = await records.replace(
        "acme", a_record("ghcr", enable_ci=True), None, if_version=created.version, now=NOW
    )
    assert replaced is not None
    other = await records.create("acme", a_record("quay"), None, now=NOW)
    assert await records.delete("acme", "ghcr", if_version=None, now=NOW)

    feed = ChangeFeed(replica)
    assert (created.version, replaced.version, other.version) == (1, 2, 3)
    assert await feed.heads(["org:acme", "org:globex"]) == {"org:acme": 4, "org:globex": 0}
    assert await feed.since("org:acme", 1) == [
        Change("org:acme", 2, "record", "ghcr"),
        Change("org:acme", 3, "record", "quay"),
        Change("org:acme", 4, "record", "ghcr"),
    ]
    assert await feed.since("org:acme", 4) == []
    assert await records.revision("acme") == 4


@pytest.mark.usefixtures("admin")
async def test_what_is_refused_leaves_no_revision(records: RecordStore, replica: Database) -> None:
    await records.create("acme", a_record("ghcr"), None, now=NOW)
    with pytest.raises(Conflict):
        await records.create("acme", a_record("ghcr"), None, now=NOW)
    assert not await records.delete("acme", "ghcr", if_version=99, now=NOW)
    assert await ChangeFeed(replica).heads(["org:acme"]) == {"org:acme": 1}


@pytest.mark.usefixtures("admin")
async def test_a_poller_sees_each_revision_once_and_in_order(
    database: Database, replica: Database
) -> None:
    writers, writes = 4, 25
    feed = ChangeFeed(replica)
    seen: list[Change] = []

    async def write(writer: int) -> list[tuple[int, str]]:
        store = RecordStore(database if writer % 2 else replica)
        created = []
        for number in range(writes):
            record = a_record(f"w{writer}-{number}")
            while True:
                # Two processes on one SQLite file get the lock by luck: a caller tries again.
                with suppress(StoreUnavailable):
                    stored = await store.create("acme", record, None, now=NOW)
                    break
            created.append((stored.version, stored.id))
        return created

    async def poll() -> None:
        while len(seen) < writers * writes:
            found = await feed.since("org:acme", seen[-1].revision if seen else 0)
            assert found is not None
            for change in found:
                # Whoever hears of a change can read what it is about.
                assert await RecordStore(replica).get("acme", change.subject) is not None
            seen.extend(found)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        results = await asyncio.gather(poll(), *(write(writer) for writer in range(writers)))
    created = [pair for result in results[1:] if result is not None for pair in result]
    assert [change.revision for change in seen] == list(range(1, writers * writes + 1))
    assert [(change.revision, change.subject) for change in seen] == sorted(created)


async def test_after_pruning_who_is_behind_loads_anew(database: Database) -> None:
    feed = ChangeFeed(database)
    for number in range(4):
        async with database.write() as connection:
            at = NOW + timedelta(seconds=number)
            await announce(connection, "identity", "user", f"user-{number}", at)
    assert await feed.prune(NOW + timedelta(seconds=2)) == 2
    assert await feed.since("identity", 0) is None
    assert await feed.since("identity", 1) is None
    assert await feed.since("identity", 2) == [
        Change("identity", 3, "user", "user-2"),
        Change("identity", 4, "user", "user-3"),
    ]
    assert await feed.prune(NOW + timedelta(days=1)) == 2
    assert await feed.since("identity", 3) is None
    assert await feed.since("identity", 4) == []
    assert await feed.heads(["identity"]) == {"identity": 4}


async def test_a_hole_in_the_feed_is_not_skipped(database: Database) -> None:
    """Where replicas' clocks differ, an older revision may outlive a newer one."""
    feed = ChangeFeed(database)
    for age in (0, 5, 0):
        async with database.write() as connection:
            await announce(connection, "identity", "user", "ada", NOW - timedelta(days=age))
    assert await feed.prune(NOW - timedelta(days=1)) == 1
    assert await feed.since("identity", 0) is None
    assert await feed.since("identity", 2) == [Change("identity", 3, "user", "ada")]


async def test_a_database_set_back_is_loaded_anew(database: Database) -> None:
    async with database.write() as connection:
        await announce(connection, "identity", "user", "ada", NOW)
    assert await ChangeFeed(database).since("identity", 7) is None


async def test_who_is_very_far_behind_loads_anew(database: Database) -> None:
    async with database.write() as connection:
        await announce(connection, "identity", "user", "ada", NOW)
        await connection.execute(
            text(
                "INSERT INTO changes (feed, revision, kind, subject, at)"
                " VALUES ('identity', :revision, 'user', 'ada', 0)"
            ),
            [{"revision": revision} for revision in range(2, 10_003)],
        )
        await connection.execute(text("UPDATE feeds SET revision = 10002"))
    feed = ChangeFeed(database)
    assert await feed.since("identity", 1) is None
    found = await feed.since("identity", 2)
    assert found is not None
    assert len(found) == 10_000
