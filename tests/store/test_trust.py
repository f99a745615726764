"""Trust rules in both databases: what they bring with them, and what ends with them."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from pullpass.domain.errors import Conflict, NotFound
from pullpass.domain.identity import Membership, Role, TokenInfo, UserType
from pullpass.domain.trust import DEFAULT_LIFETIME, TrustRule
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.trust import TrustStore
from tests.store.values import NOW

LATER = NOW + timedelta(minutes=15)
pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
def trust(database: Database) -> TrustStore:
    return TrustStore(database)


def a_rule(rule_id: str = "github", user_id: str = "job") -> TrustRule:
    return TrustRule(
        rule_id,
        user_id,
        "https://issuer.example",
        "pullpass:acme",
        {"repository": ("acme/app", "acme/*")},
        Membership(Role.CLUSTER, "eu", ("ghcr", "team-*")),
        DEFAULT_LIFETIME,
        NOW,
        "ada",
    )


def a_token(token_id: str) -> TokenInfo:
    return TokenInfo("job", token_id, "", NOW, "job", LATER, "repo:acme/app")


async def changes(database: Database) -> list[tuple[str, str]]:
    found = await ChangeFeed(database).since("identity", 0)
    return [(change.kind, change.subject) for change in found or []]


async def test_a_rule_comes_with_its_user_and_is_of_one_organization(
    trust: TrustStore, identity: IdentityStore
) -> None:
    made = await trust.create("acme", a_rule())
    assert made == dataclasses.replace(a_rule(), version=made.version)
    assert await trust.rules("acme") == [made]
    assert await trust.rule("acme", "github") == made
    assert await trust.rules("globex") == []
    assert await trust.rule("globex", "github") is None
    user = await identity.user("job")
    assert user is not None
    assert (user.name, user.type) == ("trust:github", UserType.SYSTEM)
    assert user.memberships == {"acme": made.membership}
    await trust.create("acme", a_rule("aaa", "other"))
    assert [rule.id for rule in await trust.rules("acme")] == ["aaa", "github"]


async def test_a_rule_is_not_made_twice_nor_in_no_organization(
    trust: TrustStore, identity: IdentityStore
) -> None:
    await trust.create("acme", a_rule())
    with pytest.raises(Conflict) as taken:
        await trust.create("acme", a_rule(user_id="other"))
    assert taken.value.code == "trust_rule_id_taken"
    with pytest.raises(NotFound):
        await trust.create("nowhere", a_rule(user_id="other"))
    assert await identity.user("other") is None


async def test_a_change_ends_the_tokens_and_is_announced(
    trust: TrustStore, identity: IdentityStore, replica: Database
) -> None:
    made = await trust.create("acme", a_rule())
    assert await trust.issue("acme", made, a_token("one"), "d1")
    found = await identity.find_token("d1")
    assert found is not None
    assert (found[0].subject, found[1].memberships["acme"]) == ("repo:acme/app", made.membership)

    wanted = dataclasses.replace(made, membership=Membership(Role.READER), audience="other")
    before = len(await changes(replica))
    changed = await trust.replace("acme", wanted, now=LATER)
    assert changed is not None
    assert changed == await trust.rule("acme", "github")
    assert (await changes(replica))[before:] == [("user", "job")]
    assert await identity.find_token("d1") is None
    # What was read before the change neither changes the rule again nor gives a token.
    assert await trust.replace("acme", wanted, now=LATER) is None
    assert not await trust.issue("acme", made, a_token("two"), "d2")
    assert await identity.find_token("d2") is None


async def test_a_deleted_rule_takes_its_user_and_tokens_along(
    trust: TrustStore, identity: IdentityStore, replica: Database
) -> None:
    made = await trust.create("acme", a_rule())
    assert await trust.issue("acme", made, a_token("one"), "d1")
    before = len(await changes(replica))
    assert await trust.delete("acme", made, now=LATER)
    assert (await changes(replica))[before:] == [("user", "job")]
    assert not await trust.delete("acme", made, now=LATER)
    assert await trust.rules("acme") == []
    assert await identity.user("job") is None
    assert await identity.find_token("d1") is None
    assert not await trust.issue("acme", made, a_token("two"), "d2")


async def test_no_token_outlives_a_change_that_comes_at_the_same_time(
    trust: TrustStore, identity: IdentityStore, replica: Database
) -> None:
    made = await trust.create("acme", a_rule())
    there = TrustStore(replica)
    outcomes = await asyncio.gather(
        trust.replace("acme", dataclasses.replace(made, audience="other"), now=LATER),
        *(there.issue("acme", made, a_token(f"t{n}"), f"d{n}") for n in range(8)),
    )
    assert outcomes[0] is not None
    assert await identity.tokens("job") == []
