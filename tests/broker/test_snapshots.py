"""While many records are being loaded, what is asked for is answered from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.follower import Follower
from pullpass.broker.snapshots import Snapshot, Snapshots
from pullpass.domain import draft
from pullpass.domain.identity import Organization
from pullpass.domain.image import ImageReference
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.migrations import migrate
from pullpass.store.records import RecordStore, StoredRecord
from tests.store.values import NOW, a_record, a_user


class LargeStore(RecordStore):
    """As if there were so many records that reading them takes until ``may_end``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.database = database
        self.may_end = asyncio.Event()

    async def stream(self, organization: str) -> AsyncIterator[list[StoredRecord]]:
        await self.may_end.wait()
        async for chunk in super().stream(organization):
            yield chunk


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LargeStore]:
    database = await Database.open(f"sqlite:///{tmp_path / 'pullpass.db'}")
    await migrate(database)
    acme = Organization("acme", "Acme", NOW, "root")
    await IdentityStore(database).create_organization(acme, a_user(), now=NOW)
    found = LargeStore(database)
    for record_id, registry in (
        ("hub", "docker.io"),
        ("acme", "ghcr.io/acme"),
        ("deep", "ghcr.io/acme/app"),
        ("star", "*.example.com/acme"),
        ("mine", "quay.io/mine"),
    ):
        await found.create("acme", a_record(record_id, registry), b"sealed", now=NOW)
    yield found
    await database.close()


@pytest.fixture
async def snapshots(store: LargeStore) -> AsyncIterator[Snapshots]:
    builtin = {"type": "public"}
    builtins = BuiltinRecords(
        [
            draft.parse({"id": "mine", "registry": "registry.k8s.io", **builtin}),
            draft.parse({"id": "shown", "registry": "mcr.microsoft.com", **builtin}),
            draft.parse({"id": "public-hub", "registry": "docker.io", **builtin}),
        ]
    )
    follower = Follower(ChangeFeed(store.database))
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


async def test_an_image_is_answered_before_all_is_loaded(
    snapshots: Snapshots, store: LargeStore
) -> None:
    async def answers() -> dict[str, str | None]:
        parsed = {image: ImageReference.parse(image) for image in IMAGES}
        about = [snapshots.about("acme", image=each) for each in parsed.values()]
        found = await asyncio.gather(*about)
        return {image: winner(each, image) for image, each in zip(parsed, found, strict=True)}

    assert await answers() == IMAGES
    stored = (await snapshots.about("acme", record_id="star")).own("star")
    assert stored is not None
    # A change is seen at once, a wildcard's too.
    assert await store.delete("acme", "star", if_version=None, now=NOW)
    assert await store.delete("acme", "mine", if_version=None, now=NOW)
    changed = {"eu.example.com/acme/app": None, "registry.k8s.io/pause": "mine"}
    assert await answers() == IMAGES | changed
    store.may_end.set()
    whole = await snapshots.get("acme")
    assert {image: winner(whole, image) for image in IMAGES} == IMAGES | changed
    assert await snapshots.about("acme", record_id="hub") is whole


async def test_new_records_are_seen_at_once_with_what_came_before(
    snapshots: Snapshots, store: LargeStore
) -> None:
    async def create(record_id: str) -> StoredRecord:
        registry = f"new.io/{record_id}"
        return StoredRecord(
            await store.create("acme", a_record(record_id, registry), b"x", now=NOW), b"x"
        )

    # Not loaded yet: what is loaded later has it.
    await snapshots.add("acme", [await create("zero")])
    store.may_end.set()
    snapshot = await snapshots.get("acme")
    assert snapshot.own("zero") is not None
    one, two = await create("one"), await create("two")
    await snapshots.add("acme", [one, two])
    assert (snapshot.own("one"), winner(snapshot, "new.io/two/app")) == (one, "two")
    # What another replica wrote in between comes with it.
    assert await store.delete("acme", "one", if_version=None, now=NOW)
    elsewhere, here = await create("elsewhere"), await create("here")
    await snapshots.add("acme", [here])
    assert snapshot.own("one") is None
    assert (snapshot.own("elsewhere"), snapshot.own("here")) == (elsewhere, here)
