"""Who may do what: the one permission table, and the questions asked of it.

A caller is a member of an organization with one role, or no member at all. To a stranger an
organization does not exist (404, so that ids cannot be probed); a member whose role is too
small is told so (403).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pullpass.domain import glob
from pullpass.domain.errors import Forbidden, NotFound
from pullpass.domain.identity import Membership, Principal, Role, User, UserType
from pullpass.domain.record import Record, Secrets


class Action(StrEnum):
    """What a route does, as far as permission goes."""

    READ_ORGANIZATION = "read the organization"
    READ_RECORDS = "read registry records"
    WRITE_RECORDS = "change registry records"
    READ_CREDENTIALS = "read credentials"
    CHECK_RECORDS = "check registry records"
    READ_USERS = "read the organization's users"
    WRITE_USERS = "change the organization's users"
    READ_TRUST = "read trust rules"
    WRITE_TRUST = "change trust rules"
    READ_AUDIT = "read the audit log"
    READ_CLUSTERS = "read what clusters report"
    REPORT_CLUSTER = "report for a cluster"
    FORGET_CLUSTER = "forget a cluster"


_METADATA = frozenset({Action.READ_ORGANIZATION, Action.READ_RECORDS})

PERMISSIONS: Mapping[Role, frozenset[Action]] = {
    Role.ADMIN: frozenset(Action),
    Role.EDITOR: _METADATA
    | {
        Action.WRITE_RECORDS,
        Action.CHECK_RECORDS,
        Action.READ_CLUSTERS,
        Action.FORGET_CLUSTER,
    },
    Role.READER: _METADATA | {Action.READ_CLUSTERS},
    Role.PULLER: _METADATA | {Action.READ_CREDENTIALS},
    Role.CI: _METADATA | {Action.READ_CREDENTIALS},
    Role.CLUSTER: _METADATA
    | {Action.READ_CREDENTIALS, Action.READ_CLUSTERS, Action.REPORT_CLUSTER},
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal that acts within one organization, as the member that it is there."""

    principal: Principal
    organization: str
    membership: Membership

    @property
    def user_id(self) -> str:
        return self.principal.user.id


def require(principal: Principal, organization: str, action: Action) -> Caller:
    """The caller within ``organization``, where its role allows ``action``.

    Raises:
        NotFound: the caller is no member of the organization (or there is none).
        Forbidden: it is a member, but its role is too small.
    """
    membership = principal.user.memberships.get(organization)
    if membership is None:
        raise organization_not_found(organization)
    if action not in PERMISSIONS[membership.role]:
        able = ", ".join(role for role, actions in PERMISSIONS.items() if action in actions)
        raise Forbidden(
            f"The role '{membership.role}' may not {action}. Roles that may: {able}.",
            details={"role": membership.role, "action": action},
        )
    return Caller(principal, organization, membership)


def may(caller: Caller, action: Action) -> bool:
    """Whether the caller's role in the organization allows the action."""
    return action in PERMISSIONS[caller.membership.role]


def require_credential(caller: Caller, record_id: str, *, enable_ci: bool) -> None:
    """Refuse a caller the credential of a record that is not open to it.

    Raises:
        Forbidden: the role is `ci` and the record does not have `enable_ci`, or the membership is
            limited to other records.
    """
    registries = caller.membership.registries
    if registries is not None and not glob.matches_any(registries, record_id):
        raise Forbidden(
            f"This token may not have the credential of the registry record '{record_id}'. "
            "An administrator can allow it in the 'registries' of the trust rule.",
            code="registry_not_granted",
            details={"registry_id": record_id},
        )
    if caller.membership.role is Role.CI and not enable_ci:
        raise Forbidden(
            f"The registry record '{record_id}' is not enabled for CI. "
            "An editor can allow it by setting 'enable_ci' to true.",
            code="ci_not_enabled",
            details={"registry_id": record_id},
        )


def require_credentials(caller: Caller, enable_ci: Mapping[str, bool]) -> None:
    """The same for several records (by id: whether each has `enable_ci`): all, or none of them.

    Raises:
        Forbidden: as for :func:`require_credential`; the details name every record that is refused.
    """
    refused: dict[str, Forbidden] = {}
    for record_id, is_open in enable_ci.items():
        try:
            require_credential(caller, record_id, enable_ci=is_open)
        except Forbidden as error:
            refused[record_id] = error
    if not refused:
        return
    first, ids = next(iter(refused.values())), list(refused)
    if len(ids) == 1:
        raise first
    raise Forbidden(
        f"{first.message} In all, {len(ids)} records are refused: {', '.join(ids[:20])}.",
        code=first.code,
        details={"registry_ids": ids},
    )


def cluster_scope(caller: Caller, asked: str | None) -> str | None:
    """The cluster whose secret references the caller gets; None means all clusters'.

    Raises:
        Forbidden: a `cluster` caller asks for another cluster than its own.
    """
    own = caller.membership.cluster
    if own is None or asked in (None, own):
        return own or asked
    raise Forbidden(
        f"This token is for the cluster '{own}' and cannot read for another one.",
        code="other_cluster",
        details={"cluster": own},
    )


def visible_secrets(caller: Caller, record: Record) -> Secrets | None:
    """The secret references of ``record`` that the caller may see: a `cluster` caller its own
    cluster's alone.
    """
    own = caller.membership.cluster
    if own is None or record.secrets is None:
        return record.secrets
    return record.secrets_for(own) or None


def may_manage_tokens(caller: User, owner: User) -> bool:
    """Whether ``caller`` may list, create and delete tokens of ``owner``.

    A person manages their own. An administrator manages those of a user all of whose
    organizations they administer; a user with a membership elsewhere is out of reach, since
    a token would carry that membership too.
    """
    if caller.id == owner.id:
        return owner.type is UserType.USER or _administers(caller, owner)
    return _administers(caller, owner)


def require_own_making(user: User) -> None:
    """Refuse to change what Pullpass made and changes itself.

    Raises:
        Forbidden: it is the user behind a trust rule.
    """
    if user.type is UserType.SYSTEM:
        raise Forbidden(
            f"The user '{user.name}' belongs to a trust rule: change or delete the rule. It has no "
            "tokens but those that jobs get for their identity tokens.",
            code="managed_user",
            details={"user_id": user.id},
        )


def shares_organization(caller: User, owner: User) -> bool:
    return bool(caller.memberships.keys() & owner.memberships.keys())


def organization_not_found(organization: str) -> NotFound:
    return NotFound(
        f"There is no organization '{organization[:64]}' that you are a member of.",
        code="organization_not_found",
    )


def _administers(caller: User, owner: User) -> bool:
    return bool(owner.memberships) and all(
        (own := caller.memberships.get(organization)) is not None and own.role is Role.ADMIN
        for organization in owner.memberships
    )
