from __future__ import annotations

from datetime import timedelta

import pytest

from pullpass.domain.errors import Conflict, NotFound
from pullpass.domain.identity import Membership, Role, TokenInfo, User
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.sign_in import Identity, SignInStore
from tests.store.values import NOW, a_user

JO = Identity("https://login.example", "jo")
READER = Membership(Role.READER)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def store(database: Database, identity: IdentityStore, admin: User) -> SignInStore:
    return SignInStore(database)


async def test_an_identity_is_one_user_and_a_user_one_identity(store: SignInStore) -> None:
    for name in ("jo", "sam"):
        user = a_user(name, email=f"{name}@example.com", memberships={"acme": READER})
        await store.add_user(user, now=NOW)
    assert await store.user_of(JO) is None
    await store.bind(JO, "jo", now=NOW)
    found = await store.user_of(JO)
    assert found is not None
    assert found.id == "jo"
    for identity, user_id in ((JO, "sam"), (Identity(JO.issuer, "heir"), "jo"), (JO, "jo")):
        with pytest.raises(Conflict) as caught:
            await store.bind(identity, user_id, now=LATER)
        assert caught.value.code == "identity_taken"
    await store.bind(Identity("https://other.example", "jo"), "jo", now=NOW)
    with pytest.raises(NotFound):
        await store.bind(Identity(JO.issuer, "ghost"), "ghost", now=NOW)
    assert await store.remove_member("jo", "acme", now=LATER)
    assert await store.user_of(JO) is None


async def test_a_newcomer_is_added_whole_or_not_at_all(store: SignInStore) -> None:
    jo = a_user("jo", email="Jo@Example.com", memberships={"acme": READER})
    await store.add(JO, jo, now=NOW)
    assert await store.user_of(JO) == jo
    assert await store.user_with_email("jO@eXAMPLE.com") == jo
    with pytest.raises(Conflict):
        await store.add(JO, a_user("other", memberships={"acme": READER}), now=NOW)
    assert await store.user("other") is None


async def test_other_roles_end_the_tokens_that_there_were(store: SignInStore) -> None:
    await store.add(JO, a_user("jo", memberships={"acme": READER}), now=NOW)
    await store.create_token(TokenInfo("jo", "old", "", NOW, "jo", None), "digest", now=NOW)
    admin = Membership(Role.ADMIN)
    changed = await store.change("jo", {"acme": admin}, (), now=LATER)
    assert changed.memberships == {"acme": admin}
    assert await store.tokens("jo") == []
    changed = await store.change("jo", {}, ["acme", "globex"], now=LATER)
    assert changed.memberships == {}


async def test_the_last_administrator_keeps_the_role(store: SignInStore, admin: User) -> None:
    for given, taken in (({"acme": READER}, ()), ({}, ("acme",))):
        with pytest.raises(Conflict) as caught:
            await store.change(admin.id, given, taken, now=LATER)
        assert caught.value.code == "last_admin"
    assert await store.user(admin.id) == admin
