"""The permission table: what each role may do, and what a stranger is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pullpass.domain import access
from pullpass.domain.access import Action
from pullpass.domain.errors import Forbidden, NotFound
from pullpass.domain.identity import Membership, Principal, Role, User, UserType

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# Written by hand from the wire contract, not derived from the table under test.
MAY = {
    Role.ADMIN: set(Action),
    Role.EDITOR: {
        Action.READ_ORGANIZATION,
        Action.READ_RECORDS,
        Action.WRITE_RECORDS,
        Action.CHECK_RECORDS,
        Action.READ_CLUSTERS,
        Action.FORGET_CLUSTER,
    },
    Role.READER: {Action.READ_ORGANIZATION, Action.READ_RECORDS, Action.READ_CLUSTERS},
    Role.PULLER: {Action.READ_ORGANIZATION, Action.READ_RECORDS, Action.READ_CREDENTIALS},
    Role.CI: {Action.READ_ORGANIZATION, Action.READ_RECORDS, Action.READ_CREDENTIALS},
    Role.CLUSTER: {
        Action.READ_ORGANIZATION,
        Action.READ_RECORDS,
        Action.READ_CREDENTIALS,
        Action.READ_CLUSTERS,
        Action.REPORT_CLUSTER,
    },
}


def user(name: str, kind: UserType = UserType.USER, **roles: Role) -> User:
    memberships = {organization: Membership(role) for organization, role in roles.items()}
    return User(name, name, kind, NOW, memberships=memberships)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_each_role_may_do_what_the_contract_says(role: Role, action: Action) -> None:
    principal = Principal(user("somebody", acme=role), "token")
    if action in MAY[role]:
        assert access.require(principal, "acme", action).membership.role is role
    else:
        with pytest.raises(Forbidden, match=role):
            access.require(principal, "acme", action)


@pytest.mark.parametrize("action", Action)
def test_a_stranger_learns_nothing(action: Action) -> None:
    principal = Principal(user("somebody", other=Role.ADMIN), "token")
    with pytest.raises(NotFound):
        access.require(principal, "acme", action)


def test_ci_reads_only_what_is_enabled_for_ci() -> None:
    ci = access.require(Principal(user("job", acme=Role.CI), "t"), "acme", Action.READ_CREDENTIALS)
    access.require_credential(ci, "ghcr", enable_ci=True)
    with pytest.raises(Forbidden, match="enable_ci"):
        access.require_credential(ci, "ghcr", enable_ci=False)
    puller = Principal(user("dev", acme=Role.PULLER), "t")
    caller = access.require(puller, "acme", Action.READ_CREDENTIALS)
    access.require_credential(caller, "ghcr", enable_ci=False)


def test_a_cluster_reads_for_itself_only() -> None:
    member = User(
        "agent",
        "agent",
        UserType.SERVICE,
        NOW,
        memberships={"acme": Membership(Role.CLUSTER, "prod")},
    )
    caller = access.require(Principal(member, "t"), "acme", Action.READ_CREDENTIALS)
    assert access.cluster_scope(caller, None) == "prod"
    assert access.cluster_scope(caller, "prod") == "prod"
    with pytest.raises(Forbidden, match="prod"):
        access.cluster_scope(caller, "dev")


@pytest.mark.parametrize(
    ("caller", "owner", "allowed"),
    [
        (user("ann", acme=Role.READER), user("ann", acme=Role.READER), True),
        (
            user("bot", UserType.SERVICE, acme=Role.PULLER),
            user("bot", UserType.SERVICE, acme=Role.PULLER),
            False,
        ),
        (user("ann", acme=Role.ADMIN), user("bot", UserType.SERVICE, acme=Role.CI), True),
        (user("ann", acme=Role.EDITOR), user("bot", UserType.SERVICE, acme=Role.CI), False),
        (user("ann", acme=Role.ADMIN), user("bob", acme=Role.READER, rival=Role.READER), False),
        (
            user("ann", acme=Role.ADMIN, rival=Role.ADMIN),
            user("bob", acme=Role.READER, rival=Role.READER),
            True,
        ),
        (user("ann", acme=Role.ADMIN), user("nobody"), False),
    ],
    ids=[
        "a person, own",
        "a service user, own",
        "an administrator's service user",
        "an editor",
        "a user who is elsewhere too",
        "administrator of all of the user's organizations",
        "a user in no organization",
    ],
)
def test_who_manages_whose_tokens(caller: User, owner: User, allowed: bool) -> None:
    assert access.may_manage_tokens(caller, owner) is allowed


def test_a_limit_to_records_holds_for_every_role() -> None:
    member = User(
        "job",
        "job",
        UserType.SYSTEM,
        NOW,
        memberships={"acme": Membership(Role.PULLER, registries=("team-*", "ghcr"))},
    )
    caller = access.require(Principal(member, "t"), "acme", Action.READ_CREDENTIALS)
    for allowed in ("team-a", "ghcr"):
        access.require_credential(caller, allowed, enable_ci=False)
    for refused in ("team", "ghcr-2", "other"):
        with pytest.raises(Forbidden, match=refused) as forbidden:
            access.require_credential(caller, refused, enable_ci=True)
        assert forbidden.value.code == "registry_not_granted"


def test_the_user_behind_a_trust_rule_is_changed_by_the_rule_alone() -> None:
    access.require_own_making(user("ada", UserType.USER))
    access.require_own_making(user("build", UserType.SERVICE))
    with pytest.raises(Forbidden, match="trust rule"):
        access.require_own_making(user("job", UserType.SYSTEM))
