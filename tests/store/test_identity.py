from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from pullpass.domain.errors import Conflict, NotFound
from pullpass.domain.identity import Membership, Organization, Role, User, UserType
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from tests.store.values import NOW, a_user

ADMIN = Membership(Role.ADMIN)
READER = Membership(Role.READER)
LATER = NOW + timedelta(minutes=1)


async def test_an_organization_is_created_with_its_administrator(identity: IdentityStore) -> None:
    acme = Organization("acme", "Acme Inc.", NOW, "root")
    ada = a_user("ada", email="ada@example.com")
    await identity.create_organization(acme, ada, now=LATER)
    assert await identity.organization("acme") == acme
    assert await identity.user("ada") == dataclasses.replace(ada, memberships={"acme": ADMIN})


async def test_an_administrator_who_is_there_stays_as_is(identity: IdentityStore) -> None:
    ada = a_user("ada", name="Ada", email="ada@example.com")
    await identity.create_organization(Organization("acme", "Acme", NOW, "root"), ada, now=NOW)
    other = a_user("ada", name="Somebody", email="else@example.com")
    await identity.create_organization(Organization("globex", "G", NOW, "ada"), other, now=NOW)
    expected = dataclasses.replace(ada, memberships={"acme": ADMIN, "globex": ADMIN})
    assert await identity.user("ada") == expected


async def test_organization_ids_are_unique(identity: IdentityStore, admin: User) -> None:
    with pytest.raises(Conflict) as conflict:
        await identity.create_organization(
            Organization("acme", "Other", LATER, "eve"), a_user("eve"), now=NOW
        )
    assert conflict.value.code == "organization_id_taken"
    assert await identity.user("eve") is None
    assert await identity.members("acme") == [admin]


@pytest.mark.usefixtures("admin")
async def test_organizations_are_found_by_id(identity: IdentityStore) -> None:
    found = await identity.organizations(["globex", "missing", "acme"])
    assert [organization.id for organization in found] == ["acme", "globex"]
    assert await identity.organizations([]) == []
    assert await identity.organization("missing") is None


@pytest.mark.parametrize(
    "user",
    [
        a_user("bob"),
        a_user("bob", name="Böb", email="Bob@Example.com", memberships={"acme": READER}),
        a_user("bob", memberships={"acme": READER, "globex": Membership(Role.CLUSTER, "eu-1")}),
        dataclasses.replace(a_user("deploy"), type=UserType.SERVICE),
    ],
)
@pytest.mark.usefixtures("admin")
async def test_a_user_comes_back_as_added(identity: IdentityStore, user: User) -> None:
    await identity.add_user(user, now=LATER)
    assert await identity.user(user.id) == user


@pytest.mark.usefixtures("admin")
async def test_a_user_cannot_be_added_twice_or_to_nowhere(identity: IdentityStore) -> None:
    with pytest.raises(Conflict) as conflict:
        await identity.add_user(a_user("ada", name="Other"), now=NOW)
    assert conflict.value.code == "user_id_taken"
    with pytest.raises(NotFound) as missing:
        await identity.add_user(a_user("bob", memberships={"initech": READER}), now=NOW)
    assert missing.value.code == "organization_not_found"
    assert await identity.user("bob") is None


@pytest.mark.usefixtures("admin")
async def test_e_mail_addresses_are_unique_in_whatever_case(identity: IdentityStore) -> None:
    await identity.add_user(a_user("bob", email="Bob@Example.com"), now=NOW)
    await identity.add_user(a_user("eve"), now=NOW)
    await identity.add_user(a_user("mal"), now=NOW)
    with pytest.raises(Conflict) as conflict:
        await identity.add_user(a_user("bob2", email="bob@example.COM"), now=NOW)
    assert conflict.value.code == "email_taken"
    with pytest.raises(Conflict) as conflict:
        await identity.update_profile("eve", name="Eve", email="BOB@example.com", now=NOW)
    assert conflict.value.code == "email_taken"
    with pytest.raises(Conflict) as conflict:
        await identity.create_organization(
            Organization("initech", "I", NOW, "x"), a_user("x", email="bob@example.com"), now=NOW
        )
    assert conflict.value.code == "email_taken"
    assert await identity.organization("initech") is None


@pytest.mark.usefixtures("admin")
async def test_a_profile_is_updated(identity: IdentityStore) -> None:
    bob = a_user("bob", email="bob@example.com", memberships={"acme": READER})
    await identity.add_user(bob, now=NOW)
    updated = await identity.update_profile("bob", name="Bob", email="BOB@example.com", now=NOW)
    assert updated == dataclasses.replace(bob, name="Bob", email="BOB@example.com")
    updated = await identity.update_profile("bob", name="Bob", email=None, now=NOW)
    assert updated == dataclasses.replace(bob, name="Bob", email=None)
    assert await identity.user("bob") == updated
    assert await identity.update_profile("nobody", name="N", email=None, now=NOW) is None


async def test_members_come_by_name_and_then_id(identity: IdentityStore, admin: User) -> None:
    both = {"acme": READER, "globex": READER}
    zoe = a_user("u1", name="zoe", memberships=both)
    abe2 = a_user("u3", name="abe", memberships={"acme": READER})
    abe1 = a_user("u2", name="abe", memberships={"acme": READER})
    elsewhere = a_user("u4", name="abe", memberships={"globex": READER})
    for user in (zoe, abe2, abe1, elsewhere):
        await identity.add_user(user, now=NOW)
    assert await identity.members("acme") == [abe1, abe2, admin, zoe]
    assert await identity.members("missing") == []


@pytest.mark.usefixtures("admin")
async def test_a_membership_is_added_and_changed(identity: IdentityStore) -> None:
    await identity.add_user(a_user("bob"), now=NOW)
    cluster = Membership(Role.CLUSTER, "eu-1")
    user = await identity.set_membership("bob", "acme", cluster, now=NOW)
    assert user == a_user("bob", memberships={"acme": cluster})
    user = await identity.set_membership("bob", "acme", READER, now=NOW)
    assert user == a_user("bob", memberships={"acme": READER})
    assert await identity.user("bob") == user
    assert await identity.set_membership("nobody", "acme", READER, now=NOW) is None
    with pytest.raises(NotFound):
        await identity.set_membership("bob", "initech", READER, now=NOW)


async def test_the_last_administrator_stays(identity: IdentityStore, admin: User) -> None:
    await identity.add_user(a_user("bob", memberships={"acme": READER, "globex": ADMIN}), now=NOW)
    with pytest.raises(Conflict) as conflict:
        await identity.remove_member("ada", "acme", now=NOW)
    assert conflict.value.code == "last_admin"
    with pytest.raises(Conflict) as conflict:
        await identity.set_membership("ada", "acme", READER, now=NOW)
    assert conflict.value.code == "last_admin"
    assert await identity.set_membership("ada", "acme", ADMIN, now=NOW) == admin
    await identity.set_membership("bob", "acme", ADMIN, now=NOW)
    demoted = await identity.set_membership("ada", "acme", READER, now=NOW)
    assert demoted is not None
    assert demoted.memberships["acme"] == READER
    assert await identity.remove_member("ada", "acme", now=NOW)


@pytest.mark.parametrize("leave", [True, False], ids=["removed", "demoted"])
@pytest.mark.usefixtures("admin")
async def test_one_administrator_is_left_of_many_who_leave_at_once(
    identity: IdentityStore, replica: Database, leave: bool
) -> None:
    everyone = ["ada", "bob", "eve", "mal"]
    for user_id in everyone[1:]:
        await identity.add_user(a_user(user_id, memberships={"acme": ADMIN}), now=NOW)
    stores = [identity, IdentityStore(replica)]

    async def go(number: int, user_id: str) -> None:
        store = stores[number % 2]
        if leave:
            await store.remove_member(user_id, "acme", now=NOW)
        else:
            await store.set_membership(user_id, "acme", READER, now=NOW)

    outcomes = await asyncio.gather(
        *(go(number, user_id) for number, user_id in enumerate(everyone)), return_exceptions=True
    )
    assert [getattr(outcome, "code", None) for outcome in outcomes if outcome] == ["last_admin"]
    admins = [
        user.id for user in await identity.members("acme") if user.memberships["acme"] == ADMIN
    ]
    assert len(admins) == 1


@pytest.mark.usefixtures("admin")
async def test_a_user_without_membership_is_deleted(identity: IdentityStore) -> None:
    bob = a_user("bob", email="bob@example.com", memberships={"acme": READER, "globex": READER})
    await identity.add_user(bob, now=NOW)
    assert await identity.remove_member("bob", "acme", now=NOW)
    assert await identity.user("bob") == dataclasses.replace(bob, memberships={"globex": READER})
    assert not await identity.remove_member("bob", "acme", now=NOW)
    assert await identity.remove_member("bob", "globex", now=NOW)
    assert await identity.user("bob") is None
    assert not await identity.remove_member("bob", "globex", now=NOW)
    await identity.add_user(a_user("bob2", email="bob@example.com"), now=NOW)


async def test_every_change_of_a_user_is_announced(
    identity: IdentityStore, replica: Database
) -> None:
    acme = Organization("acme", "Acme", NOW, "root")
    await identity.create_organization(acme, a_user("ada"), now=NOW)
    await identity.add_user(a_user("bob"), now=NOW)
    await identity.update_profile("ada", name="Ada", email=None, now=NOW)
    await identity.set_membership("bob", "acme", READER, now=NOW)
    with pytest.raises(Conflict):
        await identity.remove_member("ada", "acme", now=NOW)
    assert not await identity.remove_member("nobody", "acme", now=NOW)
    await identity.remove_member("bob", "acme", now=NOW)
    changes = await ChangeFeed(replica).since("identity", 0)
    assert changes is not None
    assert [change.revision for change in changes] == [1, 2, 3, 4, 5]
    assert {change.kind for change in changes} == {"user"}
    assert [change.subject for change in changes] == ["ada", "bob", "ada", "bob", "bob"]
