"""While many records are being loaded, what is asked for is answered from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.follower import Follower
from pullpass.broker.snapshot import Snapshot
from pullpass.broker.snapshots import Snapshots
from pullpass.domain import draft
from pullpass.domain.errors import StoreUnavailable
from pullpass.domain.identity import Organization
from pullpass.domain.image import ImageReference
from pullpass.domain.record import Record
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.migrations import migrate
from pullpass.store.record_creation import NewRecord
from pullpass.store.records import RecordStore, StoredRecord
from pullpass.store.schema import changes, feeds, records
from tests.store.values import NOW, a_record, a_user


class SlowStore(RecordStore):
    """What comes after the first chunk is read at once, but takes until ``may_end`` to arrive."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.database = database
        self.may_end = asyncio.Event()

    async def behind(
        self, organization: str, after: str | None, limit: int
    ) -> tuple[int, list[StoredRecord]]:
        read = await super().behind(organization, after, limit)
        if after is not None:
            await self.may_end.wait()
        return read


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SlowStore]:
    database = await Database.open(f"sqlite:///{tmp_path / 'pullpass.db'}")
    await migrate(database)
    acme = Organization("acme", "Acme", NOW, "root")
    await IdentityStore(database).create_organization(acme, a_user(), now=NOW)
    found = SlowStore(database)
    more_than_a_chunk = {f"a-{number:04}": f"a{number}.io" for number in range(300)}
    asked_for = {
        "hub": "docker.io",
        "acme": "ghcr.io/acme",
        "deep": "ghcr.io/acme/app",
        "star": "*.example.com/acme",
        "mine": "quay.io/mine",
    }
    new = [
        NewRecord(a_record(record_id, registry), b"sealed")
        for record_id, registry in (more_than_a_chunk | asked_for).items()
    ]
    assert all(isinstance(each, Record) for each in await found.create_many("acme", new, now=NOW))
    yield found
    await database.close()


@pytest.fixture
def follower(store: SlowStore) -> Follower:
    return Follower(ChangeFeed(store.database))


@pytest.fixture
async def snapshots(store: SlowStore, follower: Follower) -> AsyncIterator[Snapshots]:
    builtin = {"type": "public"}
    builtins = BuiltinRecords(
        [
            draft.parse({"id": "mine", "registry": "registry.k8s.io", **builtin}),
            draft.parse({"id": "shown", "registry": "mcr.microsoft.com", **builtin}),
            draft.parse({"id": "public-hub", "registry": "docker.io", **builtin}),
        ]
    )
    found = Snapshots(store, follower, builtins, lambda *_: None)
    yield found
    await found.close()


def winner(snapshot: Snapshot, image: str) -> str | None:
    record = snapshot.index.match(ImageReference.parse(image)).winner
    return None if record is None else record.id


IMAGES = {
    "nginx": "hub",
    "ghcr.io/acme/app:1": "deep",
    "ghcr.io/acme/other": "acme",
    "ghcr.io/globex/app": None,
    "eu.example.com/acme/app": "star",
    "mcr.microsoft.com/dotnet": "shown",
    "registry.k8s.io/pause": None,
}


async def answers(snapshots: Snapshots) -> dict[str, str | None]:
    parsed = {image: ImageReference.parse(image) for image in IMAGES}
    about = [snapshots.about("acme", image=each) for each in parsed.values()]
    found = await asyncio.gather(*about)
    return {image: winner(each, image) for image, each in zip(parsed, found, strict=True)}


async def whole(snapshots: Snapshots, store: SlowStore) -> Snapshot:
    store.may_end.set()
    return await snapshots.get("acme")


async def create(store: RecordStore, record_id: str, registry: str) -> StoredRecord:
    record = await store.create("acme", a_record(record_id, registry), b"x", now=NOW)
    return StoredRecord(record, b"x")


async def test_an_image_is_answered_before_all_is_loaded(
    snapshots: Snapshots, store: SlowStore
) -> None:
    assert await answers(snapshots) == IMAGES
    stored = (await snapshots.about("acme", record_id="star")).own("star")
    assert stored is not None
    assert await store.delete("acme", "star", if_version=None, now=NOW)
    assert await store.delete("acme", "mine", if_version=None, now=NOW)
    await snapshots.refresh("acme")
    changed = {"eu.example.com/acme/app": None, "registry.k8s.io/pause": "mine"}
    assert await answers(snapshots) == IMAGES | changed
    found = await whole(snapshots, store)
    assert {image: winner(found, image) for image in IMAGES} == IMAGES | changed
    assert len(found.index) == 303 + 2
    assert await snapshots.about("acme", record_id="hub") is found
    assert await answers(snapshots) == IMAGES | changed


async def test_the_built_in_records_are_right_before_all_is_loaded(snapshots: Snapshots) -> None:
    assert set((await snapshots.about("acme")).builtins) == {"shown"}


async def test_what_was_not_asked_for_yet_is_as_new_as_the_database(
    snapshots: Snapshots, store: SlowStore
) -> None:
    assert await answers(snapshots) == IMAGES
    # The prefix passes to another record, on another replica.
    assert await store.delete("acme", "hub", if_version=None, now=NOW)
    await create(store, "new", "docker.io")
    await create(store, "newer", "*.example.org")
    for image, wanted in {"eu.example.org/app": "newer", "a7.io/app": "a-0007"}.items():
        about = await snapshots.about("acme", image=ImageReference.parse(image))
        assert (winner(about, image), winner(about, "nginx")) == (wanted, "new")
    found = await whole(snapshots, store)
    assert found.own("hub") is None
    assert (winner(found, "nginx"), winner(found, "eu.example.org/app")) == ("new", "newer")


async def test_what_is_created_while_the_rest_is_loaded_is_seen_at_once(
    snapshots: Snapshots, store: SlowStore
) -> None:
    image = "ghcr.io/globex/app"
    assert (await answers(snapshots))[image] is None
    await snapshots.add("acme", [await create(store, "globex", "ghcr.io/globex")])
    assert await answers(snapshots) == IMAGES | {image: "globex"}
    assert winner(await whole(snapshots, store), image) == "globex"


@pytest.mark.parametrize("loaded", [True, False])
async def test_where_changes_are_missing_all_is_loaded_anew_and_asked_for_meanwhile(
    snapshots: Snapshots, store: SlowStore, follower: Follower, loaded: bool
) -> None:
    assert await answers(snapshots) == IMAGES
    before = await (whole(snapshots, store) if loaded else snapshots.about("acme"))
    store.may_end.clear()
    # As a backup that was restored: without a record that is in memory.
    async with store.database.write() as connection:
        await connection.execute(delete(records).where(records.c.id == "star"))
        await connection.execute(delete(changes))
        await connection.execute(update(feeds).values(revision=feeds.c.revision - 1))
    # Nobody else waits for it.
    await follower.catch_up()
    await follower.catch_up()
    changed = IMAGES | {"eu.example.com/acme/app": None}
    assert await answers(snapshots) == changed
    waiting = asyncio.create_task(snapshots.get("acme"))
    await create(store, "later", "later.io")
    await snapshots.refresh("acme")
    after = await whole(snapshots, store)
    assert after is not before
    assert after is await waiting
    assert {image: winner(after, image) for image in IMAGES} == changed
    assert after.own("later") is not None


async def test_what_failed_to_load_is_loaded_when_it_is_asked_for_next(
    snapshots: Snapshots, store: SlowStore
) -> None:
    async with store.database.write() as connection:
        await connection.execute(text("ALTER TABLE records RENAME TO gone"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await answers(snapshots)
        with pytest.raises(StoreUnavailable):
            await snapshots.get("acme")
    async with store.database.write() as connection:
        await connection.execute(text("ALTER TABLE gone RENAME TO records"))
    assert await answers(snapshots) == IMAGES


async def test_new_records_are_seen_at_once_with_what_came_before(
    snapshots: Snapshots, store: SlowStore
) -> None:
    # Not loaded yet: what is loaded later has it.
    await snapshots.add("acme", [await create(store, "zero", "new.io/zero")])
    snapshot = await whole(snapshots, store)
    assert snapshot.own("zero") is not None
    one = await create(store, "one", "new.io/one")
    two = await create(store, "two", "new.io/two")
    await snapshots.add("acme", [one, two])
    assert (snapshot.own("one"), winner(snapshot, "new.io/two/app")) == (one, "two")
    # What another replica wrote in between comes with it.
    assert await store.delete("acme", "one", if_version=None, now=NOW)
    elsewhere = await create(store, "elsewhere", "new.io/elsewhere")
    here = await create(store, "here", "new.io/here")
    await snapshots.add("acme", [here])
    assert snapshot.own("one") is None
    assert (snapshot.own("elsewhere"), snapshot.own("here")) == (elsewhere, here)
