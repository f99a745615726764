from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import text

from pullpass.domain.errors import Conflict, NotFound
from pullpass.domain.identity import User
from pullpass.domain.record import Record, SecretReference
from pullpass.domain.record_types import RecordType
from pullpass.store.engine import Database
from pullpass.store.record_creation import NewRecord
from pullpass.store.record_lookup import Key, KeyKind
from pullpass.store.records import RecordStore, StoredRecord
from tests.store.values import NOW, a_record

pytestmark = pytest.mark.usefixtures("admin")

LATER = NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    "record",
    [
        a_record(),
        a_record(enable_ci=True, options={"role": "arn:aws:iam::1:role/x", "é": "ü"}),
        a_record(options={}),
        a_record("quay", "https://QUAY.io/acme/", record_type=RecordType.PUBLIC),
        a_record(
            record_type=RecordType.SECRET_REF,
            secrets={"*": SecretReference("default", "pull"), "eu": SecretReference("a", "b.c")},
        ),
    ],
)
async def test_a_record_comes_back_as_it_was_created(records: RecordStore, record: Record) -> None:
    created = await records.create("acme", record, b"\x00sealed\xff", now=NOW)
    assert created == dataclasses.replace(record, version=created.version)
    assert await records.get("acme", created.id) == StoredRecord(created, b"\x00sealed\xff")


async def test_a_record_without_a_time_is_created_now(records: RecordStore) -> None:
    moment = NOW + timedelta(microseconds=789)
    record = dataclasses.replace(a_record(), created_at=None)
    created = await records.create("acme", record, None, now=moment)
    assert created.created_at == NOW
    assert await records.get("acme", "ghcr") == StoredRecord(created, None)


async def test_records_belong_to_their_organization(records: RecordStore) -> None:
    await records.create("acme", a_record(), b"acme's", now=NOW)
    assert await records.get("globex", "ghcr") is None
    await records.create("globex", a_record(), b"globex's", now=NOW)
    assert not await records.delete("globex", "other", if_version=None, now=NOW)
    assert await records.delete("globex", "ghcr", if_version=None, now=NOW)
    stored = await records.get("acme", "ghcr")
    assert stored is not None
    assert stored.sealed == b"acme's"


async def test_ids_are_unique_in_an_organization(records: RecordStore) -> None:
    await records.create("acme", a_record(), b"first", now=NOW)
    with pytest.raises(Conflict) as conflict:
        await records.create("acme", a_record("ghcr", "other.example.com"), None, now=NOW)
    assert conflict.value.code == "registry_id_taken"
    assert conflict.value.details == {"field": "id", "registry_id": "ghcr"}
    stored = await records.get("acme", "ghcr")
    assert stored is not None
    assert stored.sealed == b"first"


async def test_normalized_prefixes_are_unique_in_an_organization(records: RecordStore) -> None:
    await records.create("acme", a_record("first", "ghcr.io/acme"), None, now=NOW)
    with pytest.raises(Conflict) as conflict:
        await records.create("acme", a_record("second", "https://GHCR.io/acme/"), None, now=NOW)
    assert conflict.value.code == "registry_taken"
    assert conflict.value.details == {"field": "registry", "registry_id": "first"}
    second = await records.create("acme", a_record("second", "ghcr.io/other"), None, now=NOW)
    changed = a_record("second", "ghcr.io/acme")
    with pytest.raises(Conflict) as conflict:
        await records.replace("acme", changed, None, if_version=second.version, now=NOW)
    assert conflict.value.code == "registry_taken"
    assert conflict.value.details == {"field": "registry", "registry_id": "first"}
    assert await records.get("acme", "second") == StoredRecord(second, None)


async def test_no_record_without_its_organization(records: RecordStore) -> None:
    with pytest.raises(NotFound) as missing:
        await records.create("initech", a_record(), None, now=NOW)
    assert missing.value.code == "organization_not_found"
    assert await records.revision("initech") == 0


async def test_replacing_keeps_who_created_it(records: RecordStore) -> None:
    created = await records.create("acme", a_record(), b"old", now=NOW)
    other = dataclasses.replace(a_record(enable_ci=True), created_at=LATER, created_by="bob")
    replaced = await records.replace("acme", other, b"new", if_version=created.version, now=LATER)
    assert replaced is not None
    assert replaced.version > created.version
    assert replaced == dataclasses.replace(created, enable_ci=True, version=replaced.version)
    assert await records.get("acme", "ghcr") == StoredRecord(replaced, b"new")


async def test_what_was_given_up_can_be_taken(records: RecordStore) -> None:
    created = await records.create("acme", a_record("ghcr", "ghcr.io"), None, now=NOW)
    moved = a_record("ghcr", "ghcr.io/acme")
    assert await records.replace("acme", moved, None, if_version=created.version, now=NOW)
    other = await records.create("acme", a_record("other", "ghcr.io"), None, now=NOW)
    assert await records.delete("acme", "other", if_version=other.version, now=NOW)
    again = await records.create("acme", a_record("other", "ghcr.io"), None, now=NOW)
    assert again.version > other.version


async def test_a_stale_version_changes_nothing(records: RecordStore) -> None:
    created = await records.create("acme", a_record(), b"one", now=NOW)
    stale = created.version
    current = await records.replace("acme", a_record(), b"two", if_version=stale, now=NOW)
    assert current is not None
    head = await records.revision("acme")
    assert await records.replace("acme", a_record(), b"x", if_version=stale, now=NOW) is None
    assert not await records.delete("acme", "ghcr", if_version=stale, now=NOW)
    assert await records.get("acme", "ghcr") == StoredRecord(current, b"two")
    assert await records.delete("acme", "ghcr", if_version=current.version, now=NOW)
    assert await records.replace("acme", a_record(), b"x", if_version=stale, now=NOW) is None
    assert not await records.delete("acme", "ghcr", if_version=None, now=NOW)
    assert await records.revision("acme") == head + 1


async def test_of_concurrent_changes_one_wins(records: RecordStore, replica: Database) -> None:
    created = await records.create("acme", a_record(), b"", now=NOW)
    stores = [records, RecordStore(replica)]
    outcomes = await asyncio.gather(
        *(
            stores[number % 2].replace(
                "acme", a_record(), bytes([number]), if_version=created.version, now=NOW
            )
            for number in range(8)
        )
    )
    winners = [number for number, outcome in enumerate(outcomes) if outcome is not None]
    assert len(winners) == 1
    stored = await records.get("acme", "ghcr")
    assert stored is not None
    assert stored.sealed == bytes(winners)


async def test_of_concurrent_creations_one_wins(records: RecordStore, replica: Database) -> None:
    stores = [records, RecordStore(replica)]
    outcomes = await asyncio.gather(
        *(
            stores[number % 2].create("acme", a_record(f"id-{number}", "ghcr.io"), None, now=NOW)
            for number in range(8)
        ),
        return_exceptions=True,
    )
    conflicts = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert len(conflicts) == 7
    [winner] = await records.page("acme", after=None, limit=10)
    assert {conflict.details["registry_id"] for conflict in conflicts} == {winner.id}


async def test_pages_follow_the_order_of_ids(records: RecordStore) -> None:
    # A locale would put hyphens and digits elsewhere.
    ids = ["a-1", "a-b", "a0", "a1-b", "aa", "b-a", "ba", "zz"]
    for record_id in reversed(ids):
        await records.create("acme", a_record(record_id), None, now=NOW)
    assert ids == sorted(ids)
    assert [record.id for record in await records.page("acme", after=None, limit=50)] == ids
    seen: list[str] = []
    while page := await records.page("acme", after=seen[-1] if seen else None, limit=3):
        assert len(page) <= 3
        seen += [record.id for record in page]
    assert seen == ids


async def test_many_gives_what_is_there(records: RecordStore) -> None:
    for record_id in ("one", "two"):
        await records.create("acme", a_record(record_id), record_id.encode(), now=NOW)
    wanted = ["two", "one", *(f"missing-{number}" for number in range(2500))]
    found = await records.many("acme", wanted)
    assert {key: stored.sealed for key, stored in found.items()} == {"one": b"one", "two": b"two"}
    assert await records.many("acme", []) == {}


async def test_they_are_found_by_id_by_prefix_and_by_what_is_before_a_wildcard(
    records: RecordStore,
) -> None:
    for record_id, registry in (
        ("one", "ghcr.io"),
        ("two", "ghcr.io/acme"),
        ("star", "*.example.com/team"),
        ("middle", "a.*.example.com"),
        ("other", "quay.io"),
    ):
        await records.create("acme", a_record(record_id, registry), b"sealed", now=NOW)
    await records.create("globex", a_record("theirs", "*.example.com/team"), None, now=NOW)
    head = await records.revision("acme")

    async def found(**keys: list[str]) -> set[str]:
        wanted = [Key(KeyKind[kind], text) for kind, texts in keys.items() for text in texts]
        at, stored = await records.known_by("acme", wanted)
        assert at == head
        assert {each.sealed for each in stored} <= {b"sealed"}
        return {each.record.id for each in stored}

    assert await found(ID=["other", "none", "theirs"], PREFIX=["ghcr.io/acme"]) == {"two", "other"}
    assert await found(WILDCARD=[""]) == {"star"}
    assert await found(WILDCARD=["a", "a.", "a.b"]) == {"middle"}
    every_start = [f"{number}.example.com" for number in range(2000)]
    assert await found(WILDCARD=[*every_start, "", "a."], ID=["one"]) == {"star", "middle", "one"}
    assert await found() == set()


async def test_many_wildcards_are_found_at_once(records: RecordStore) -> None:
    wanted = [Key(KeyKind.WILDCARD, f"r{number}") for number in range(250)]
    hosts = [NewRecord(a_record(f"id-{n}", f"r{n}*.example.com"), None) for n in range(300)]
    await records.create_many("acme", hosts, now=NOW)
    _, found = await records.known_by("acme", wanted)
    assert {stored.record.id for stored in found} == {f"id-{number}" for number in range(250)}


async def test_all_records_in_chunks(records: RecordStore) -> None:
    created = await records.create_many(
        "acme",
        [NewRecord(a_record(f"id-{n:02}", f"r{n}.io"), bytes([n])) for n in reversed(range(25))],
        now=NOW,
    )
    after, read = None, []
    while chunk := (await records.behind("acme", after, 10))[1]:
        assert len(chunk) <= 10
        after = max(stored.record.id for stored in chunk)
        read += chunk
    assert sorted(stored.sealed for stored in read if stored.sealed) == [
        bytes([number]) for number in range(25)
    ]
    assert {stored.record.id: stored.record for stored in read} == {
        record.id: record for record in created if isinstance(record, Record)
    }
    assert await records.behind("globex", None, 10) == (0, [])


async def test_a_deleted_organization_takes_its_records_along(
    records: RecordStore, database: Database
) -> None:
    await records.create("acme", a_record(), b"sealed", now=NOW)
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM organizations WHERE id = 'acme'"))
    assert await records.get("acme", "ghcr") is None


async def test_repr_does_not_show_what_is_sealed(records: RecordStore, admin: User) -> None:
    await records.create("acme", a_record(), b"sealed-credential", now=NOW)
    assert "sealed-credential" not in repr(await records.get("acme", "ghcr"))
