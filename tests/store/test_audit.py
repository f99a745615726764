"""The audit log of each organization is one chain, and whatever is done to it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from sqlalchemy import text

from pullpass.domain.audit import AuditAction, Position, Wanted
from pullpass.domain.audit_verification import Verification
from pullpass.domain.errors import Conflict, StoreUnavailable
from pullpass.domain.identity import Organization, User
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.audit_reading import AuditReader
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.records import RecordStore
from tests.store.values import MINUTE, NOW, a_record, a_user, an_event, images

KEY = AuditKey(b"k" * 32)


@pytest.fixture
async def log(database: Database) -> AuditStore:
    store = AuditStore(database, KEY)
    created = an_event(action=AuditAction.CREATE_ORGANIZATION)
    await store.append([created])
    return store


@pytest.fixture
async def ten(log: AuditStore) -> AuditStore:
    """A chain of ten entries."""
    await log.append([an_event(number) for number in range(2, 11)])
    return log


async def verified(
    database: Database, noted: tuple[int, bytes] | None = None, organization: str = "acme"
) -> Verification:
    async with AuditReader(database).reading(organization) as (chain, chunks):
        found = Verification(chain, KEY, noted)
        found.begin()
        async for chunk in chunks:
            found.check(chunk)
        found.finish()
    return found


async def problems(database: Database) -> list[str]:
    return (await verified(database)).problems


async def tamper(database: Database, *statements: str) -> None:
    async with database.write() as connection:
        for statement in statements:
            assert (await connection.execute(text(statement))).rowcount > 0, statement


async def test_entries_stand_in_one_chain_and_come_newest_first(
    database: Database, ten: AuditStore
) -> None:
    assert await images(database) == ["10", "9", "8", "7", "6", "5", "4", "3", "2", "0"]
    found = await AuditReader(database).after("acme", 7, limit=2)
    assert [entry.sequence for entry in found] == [8, 9]
    done = await verified(database)
    assert (done.problems, done.count, done.chain.sequence) == ([], 10, 10)


@pytest.mark.parametrize("organizations", [("acme",), ("acme", "globex")])
async def test_replicas_write_one_chain_at_the_same_time(
    database: Database, replica: Database, log: AuditStore, organizations: tuple[str, ...]
) -> None:
    other = AuditStore(replica, KEY)
    await other.append([an_event(organization="globex", action=AuditAction.CREATE_ORGANIZATION)])

    async def write(store: AuditStore, user: str) -> None:
        for number in range(20):
            await store.append(
                [an_event(number, organization=each, user=user) for each in organizations]
            )

    await asyncio.gather(write(log, "ada"), write(log, "bob"), write(other, "eve"))

    for organization in organizations:
        done = await verified(database, organization=organization)
        assert (done.problems, done.count) == ([], 61)


async def test_a_change_and_its_entry_are_written_together_or_not_at_all(
    database: Database, identity: IdentityStore, records: RecordStore
) -> None:
    audit = AuditStore(database, KEY)
    acme, ada = Organization("acme", "Acme", NOW, "ada"), a_user("ada")
    created = audit.recording([an_event(action=AuditAction.CREATE_ORGANIZATION)])
    await identity.create_organization(acme, ada, now=NOW, audit=created)
    written = audit.recording([an_event(action=AuditAction.CREATE_REGISTRY)])
    await records.create("acme", a_record("one"), None, now=NOW, audit=written)
    with pytest.raises(Conflict):
        await records.create("acme", a_record("one"), None, now=NOW, audit=written)
    assert (await verified(database)).count == 2

    async def fails(_: object) -> None:
        raise StoreUnavailable("The log cannot be written.")

    with pytest.raises(StoreUnavailable):
        await records.create("acme", a_record("two"), None, now=NOW, audit=fails)
    assert await records.get("acme", "two") is None


async def test_pages_go_on_where_they_ended_and_filters_hold(
    database: Database, ten: AuditStore
) -> None:
    await ten.append([an_event(11, user="bob", code="forbidden")])
    reader = AuditReader(database)
    seen: list[int] = []
    before: Position | None = None
    for _ in range(3):
        found, before = await reader.page("acme", Wanted(), before=before, limit=4)
        seen += [entry.sequence for entry in found]
    assert before is None
    assert seen == list(range(11, 0, -1))
    assert await images(database, Wanted(user_id="bob")) == ["11"]
    assert await images(database, Wanted(result="refused")) == ["11"]
    assert await images(database, Wanted(registry_id="r4")) == ["4"]
    assert await images(database, Wanted(action="organization.create")) == ["0"]
    between = Wanted(since=NOW + 4 * MINUTE, until=NOW + 7 * MINUTE)
    assert await images(database, between) == ["6", "5", "4"]


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        pytest.param(
            ["UPDATE audit_entries SET document = replace(document, 'app:4', 'app:x')"
             " WHERE sequence = 4"],
            ["entry 4: altered"],
            id="altered",
        ),
        pytest.param(
            ["UPDATE audit_entries SET user_id = 'eve' WHERE sequence = 4"],
            ["entry 4: altered in what it is found by"],
            id="altered where it is looked for",
        ),
        pytest.param(
            ["DELETE FROM audit_entries WHERE sequence IN (4, 5, 8)"],
            ["entries 4 to 5: removed", "entry 8: removed"],
            id="removed",
        ),
        pytest.param(
            ["DELETE FROM audit_entries WHERE sequence = 4",
             "UPDATE audit_entries SET sequence = sequence - 1 WHERE sequence = 5",
             "UPDATE audit_entries SET sequence = sequence - 1 WHERE sequence = 6"],
            ["entries 4 to 5: altered", "entry 6: removed"],
            id="removed and closed up",
        ),
        pytest.param(
            ["UPDATE audit_entries SET sequence = 99 WHERE sequence = 4",
             "UPDATE audit_entries SET sequence = 4 WHERE sequence = 5",
             "UPDATE audit_entries SET sequence = 5 WHERE sequence = 99"],
            ["entries 4 to 5: altered", "entry 6: not what followed the one before"],
            id="reordered",
        ),
        pytest.param(
            ["DELETE FROM audit_entries WHERE sequence > 8"],
            ["entries 9 to 10: removed"],
            id="cut short",
        ),
        pytest.param(
            ["DELETE FROM audit_entries WHERE sequence > 8",
             "UPDATE audit_chains SET sequence = 8,"
             " hash = (SELECT hash FROM audit_entries WHERE sequence = 8)"],
            ["the end of the chain, at entry 8, is forged: "
             "entries behind it may have been removed"],
            id="cut short, with the end set back",
        ),
        pytest.param(
            ["DELETE FROM audit_entries WHERE sequence < 4"],
            ["entries 1 to 3: removed"],
            id="the beginning removed",
        ),
        pytest.param(
            ["UPDATE audit_chains SET pruned_sequence = 3,"
             " pruned_hash = (SELECT hash FROM audit_entries WHERE sequence = 3)",
             "DELETE FROM audit_entries WHERE sequence < 4"],
            ["the checkpoint that says that entries up to 3 were pruned is forged"],
            id="the beginning pruned by somebody else",
        ),
        pytest.param(
            ["INSERT INTO audit_entries SELECT organization_id, 11, at, action, user_id,"
             " registry_id, result, document, hash, seal FROM audit_entries WHERE sequence = 10"],
            ["entry 11: altered", "entry 11: added behind the end of the chain"],
            id="added",
        ),
        pytest.param(
            ["DELETE FROM audit_entries", "DELETE FROM audit_chains"],
            ["the end of the chain, at entry 0, is forged: "
             "entries behind it may have been removed"],
            id="everything removed",
        ),
    ],
)  # fmt: skip
async def test_what_was_done_to_the_log_is_found(
    database: Database, ten: AuditStore, statements: Iterable[str], said: list[str]
) -> None:
    await tamper(database, *statements)
    assert await problems(database) == said


async def test_who_rehashes_the_whole_chain_lacks_the_key(
    database: Database, ten: AuditStore
) -> None:
    await tamper(database, "DELETE FROM audit_entries", "DELETE FROM audit_chains")
    forged = AuditStore(database, AuditKey(b"x" * 32))
    await forged.append([an_event(action=AuditAction.CREATE_ORGANIZATION)])
    await forged.append([an_event(number) for number in range(2, 11)])
    assert await problems(database) == [
        "entries 1 to 10: altered",
        "the end of the chain, at entry 10, is forged: entries behind it may have been removed",
    ]


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM audit_entries WHERE sequence > 8",
         "UPDATE audit_chains SET sequence = 8,"
         " hash = (SELECT hash FROM audit_entries WHERE sequence = 8)"],
        ["UPDATE audit_chains SET sequence = 8,"
         " hash = (SELECT hash FROM audit_entries WHERE sequence = 8)"],
        ["DELETE FROM audit_entries", "DELETE FROM audit_chains"],
    ],
    ids=["cut short", "set back", "gone"],
)  # fmt: skip
async def test_going_on_after_damage_does_not_hide_it(
    database: Database, ten: AuditStore, statements: list[str]
) -> None:
    await tamper(database, *statements)
    await ten.append([an_event(50)])
    said = await problems(database)
    assert len(said) == 1
    assert said[0].endswith("written by the server, which found the end of the chain forged")
    await ten.append([an_event(51)])
    assert await problems(database) == said


async def test_a_log_set_back_as_a_whole_lacks_what_was_noted(
    database: Database, ten: AuditStore
) -> None:
    chain = (await verified(database)).chain
    assert (await verified(database, (chain.sequence, chain.hash))).problems == []
    copy = "INSERT INTO audit_chains SELECT 'old', sequence, hash, seal, 0, hash, seal"
    await tamper(database, f"{copy} FROM audit_chains")
    await ten.append([an_event(11)])
    later = (await verified(database)).chain
    await tamper(
        database,
        "DELETE FROM audit_entries WHERE sequence > 10",
        "UPDATE audit_chains SET sequence = 10,"
        " hash = (SELECT hash FROM audit_chains WHERE organization_id = 'old'),"
        " seal = (SELECT seal FROM audit_chains WHERE organization_id = 'old')"
        " WHERE organization_id = 'acme'",
    )
    assert await problems(database) == []
    assert (await verified(database, (later.sequence, later.hash))).problems == [
        "entry 11: noted, and not there"
    ]
    assert (await verified(database, (4, later.hash))).problems == [
        "entry 4: not the one that was noted"
    ]


async def test_replicas_in_turn_extend_one_chain(
    database: Database, replica: Database, ten: AuditStore
) -> None:
    other = AuditStore(replica, KEY)
    for number in range(11, 20, 3):
        await ten.append([an_event(number)])
        await other.append([an_event(number + 1)])
        await other.append([an_event(number + 2)])
    done = await verified(database)
    assert (done.problems, done.count) == ([], 19)


async def test_a_batch_of_several_organizations(database: Database, ten: AuditStore) -> None:
    both = ("acme", "globex")
    await ten.append([an_event(organization="globex", action=AuditAction.CREATE_ORGANIZATION)])
    for number in range(11, 14):
        await ten.append([an_event(number, organization=each) for each in both])
    for organization, count in zip(both, (13, 4), strict=True):
        done = await verified(database, organization=organization)
        assert (done.problems, done.count) == ([], count)


async def test_more_entries_than_a_statement_takes(database: Database, ten: AuditStore) -> None:
    await ten.append([an_event(number) for number in range(11, 1211)])
    done = await verified(database)
    assert (done.problems, done.count) == ([], 1210)


async def test_pruning_leaves_a_chain_that_is_whole(database: Database, ten: AuditStore) -> None:
    assert await ten.prune("acme", NOW + 5 * MINUTE) == 4
    assert await ten.prune("acme", NOW + 5 * MINUTE) == 0
    done = await verified(database)
    assert (done.problems, done.count, done.chain.pruned_sequence) == ([], 6, 4)
    await ten.append([an_event(11)])
    assert await problems(database) == []
    assert await ten.prune("acme", NOW + 100 * MINUTE) == 7
    await ten.append([an_event(101)])
    done = await verified(database)
    assert (done.problems, done.count, done.chain.sequence) == ([], 1, 12)


async def test_an_entry_out_of_time_keeps_what_is_behind_it(
    database: Database, ten: AuditStore
) -> None:
    await ten.append([an_event(1)])
    assert await ten.prune("acme", NOW + 5 * MINUTE) == 4
    assert await images(database) == ["10", "9", "8", "7", "6", "5", "1"]


async def test_organizations_older_than_the_log_get_a_beginning(
    database: Database, admin: User
) -> None:
    store = AuditStore(database, KEY)
    assert await store.is_empty()
    async with database.write() as connection:
        await store.beginning(NOW)(connection)
    assert not await store.is_empty()
    for organization in ("acme", "globex"):
        await store.append([an_event(organization=organization)])
        done = await verified(database, organization=organization)
        assert (done.problems, done.count) == ([], 2)
