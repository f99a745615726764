from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime, timedelta

import pytest

from pullpass.domain.errors import Conflict, NotFound, Unauthenticated
from pullpass.domain.identity import Membership, Principal, Role, TokenInfo, User
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from tests.store.values import NOW, a_user


def a_token(
    token_id: str = "laptop", user_id: str = "ada", expires_at: datetime | None = None
) -> TokenInfo:
    return TokenInfo(user_id, token_id, "for tests", NOW, "root", expires_at)


@pytest.mark.parametrize("expires_at", [None, NOW + timedelta(days=1)])
async def test_a_token_is_found_by_its_digest(
    identity: IdentityStore, admin: User, expires_at: datetime | None
) -> None:
    info = a_token(expires_at=expires_at)
    await identity.create_token(info, "d1", now=NOW)
    assert await identity.find_token("d1") == (info, admin)
    assert await identity.token("ada", "laptop") == info
    assert await identity.find_token("d2") is None
    assert await identity.token("ada", "other") is None
    assert await identity.token("bob", "laptop") is None


async def test_a_token_of_a_user_without_membership_is_found(identity: IdentityStore) -> None:
    await identity.add_user(a_user("bob"), now=NOW)
    await identity.create_token(a_token(user_id="bob"), "d1", now=NOW)
    assert await identity.find_token("d1") == (a_token(user_id="bob"), a_user("bob"))


@pytest.mark.usefixtures("admin")
async def test_token_ids_are_unique_for_a_user(identity: IdentityStore) -> None:
    await identity.add_user(a_user("bob"), now=NOW)
    await identity.create_token(a_token("zebra"), "d1", now=NOW)
    await identity.create_token(a_token("laptop"), "d2", now=NOW)
    await identity.create_token(a_token("laptop", "bob"), "d3", now=NOW)
    with pytest.raises(Conflict) as conflict:
        await identity.create_token(a_token("laptop"), "d4", now=NOW)
    assert conflict.value.code == "token_id_taken"
    assert await identity.find_token("d4") is None
    assert await identity.tokens("ada") == [a_token("laptop"), a_token("zebra")]
    with pytest.raises(NotFound) as missing:
        await identity.create_token(a_token(user_id="nobody"), "d5", now=NOW)
    assert missing.value.code == "user_not_found"


async def test_a_token_is_for_the_user_that_was_seen(identity: IdentityStore, admin: User) -> None:
    """Who has come into another organization meanwhile is another one's to make tokens for."""
    before = dataclasses.replace(admin, memberships={})
    with pytest.raises(Conflict) as conflict:
        await identity.create_token(a_token(), "d1", now=NOW, seen=before)
    assert conflict.value.code == "concurrent_change"
    assert await identity.find_token("d1") is None
    await identity.create_token(a_token(), "d1", now=NOW, seen=admin)


async def test_a_token_that_was_revoked_makes_no_other(
    identity: IdentityStore, admin: User
) -> None:
    await identity.create_token(a_token(), "d1", now=NOW)
    by = Principal(admin, "laptop")
    await identity.create_token(a_token("second"), "d2", now=NOW, by=by)
    await identity.delete_token("ada", "laptop", now=NOW)
    with pytest.raises(Unauthenticated):
        await identity.create_token(a_token("third"), "d3", now=NOW, by=by)
    assert [each.id for each in await identity.tokens("ada")] == ["second"]


@pytest.mark.usefixtures("admin")
async def test_a_deleted_token_is_announced_and_a_new_one_is_not(
    identity: IdentityStore, replica: Database
) -> None:
    feed = ChangeFeed(replica)
    before = (await feed.heads(["identity"]))["identity"]
    await identity.create_token(a_token(), "d1", now=NOW)
    assert await feed.since("identity", before) == []
    assert not await identity.delete_token("ada", "other", now=NOW)
    assert await feed.since("identity", before) == []
    assert await identity.delete_token("ada", "laptop", now=NOW)
    [change] = await feed.since("identity", before) or []
    assert (change.kind, change.subject) == ("user", "ada")
    assert await identity.find_token("d1") is None
    assert not await identity.delete_token("ada", "laptop", now=NOW)


@pytest.mark.usefixtures("admin")
async def test_expired_tokens_are_purged(identity: IdentityStore) -> None:
    moments = {"old": NOW - timedelta(seconds=1), "now": NOW, "new": NOW + timedelta(seconds=1)}
    for token_id, moment in moments.items():
        await identity.create_token(a_token(token_id, expires_at=moment), token_id, now=NOW)
    await identity.create_token(a_token("endless"), "endless", now=NOW)
    # Of an identity token: it goes earlier.
    exchanged = dataclasses.replace(a_token("job", expires_at=NOW), subject="repo:acme/app")
    await identity.create_token(exchanged, "job", now=NOW)
    assert await identity.token("ada", "job") == exchanged
    assert await identity.purge_expired_tokens(NOW, NOW + timedelta(milliseconds=1)) == 2
    assert [info.id for info in await identity.tokens("ada")] == ["endless", "new", "now"]


@pytest.mark.usefixtures("admin")
async def test_no_token_outlives_its_user(identity: IdentityStore, replica: Database) -> None:
    """Deleting a user and giving it tokens at the same time: no token is left over."""
    reader = {"acme": Membership(Role.READER)}
    await identity.add_user(a_user("bob", memberships=reader), now=NOW)
    await identity.create_token(a_token("t", "bob"), "t", now=NOW)
    outcomes = await asyncio.gather(
        identity.remove_member("bob", "acme", now=NOW),
        *(
            IdentityStore(replica).create_token(a_token(f"t{number}", "bob"), f"{number}", now=NOW)
            for number in range(8)
        ),
        return_exceptions=True,
    )
    assert outcomes[0] is True
    assert all(outcome is None or isinstance(outcome, NotFound) for outcome in outcomes[1:])
    assert await identity.tokens("bob") == []
    assert await identity.find_token("t") is None
