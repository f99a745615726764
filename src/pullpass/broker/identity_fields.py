"""The fields of users and tokens that take more than a look."""

from __future__ import annotations

from datetime import datetime

from pullpass.broker.fields import Fields
from pullpass.domain import timestamp
from pullpass.domain.identity import Membership, Role
from pullpass.domain.record import CLUSTER_EXPECTED, is_cluster_name


def read_membership(fields: Fields, roles: tuple[Role, ...] = tuple(Role)) -> Membership:
    """The fields `role` (one of ``roles``) and `cluster`."""
    role = fields.choice("role", Role, roles, None)
    cluster = fields.optional_text("cluster", None, CLUSTER_EXPECTED, 63)
    if role == Role.CLUSTER:
        if cluster is None:
            fields.problem("cluster", "is missing for the role 'cluster'", "a cluster name")
        elif not is_cluster_name(cluster):
            fields.problem("cluster", "is not a cluster name", CLUSTER_EXPECTED)
    elif cluster is not None:
        fields.problem("cluster", "is given for another role", "no cluster, or role 'cluster'")
    return Membership(Role(role) if role else Role.READER, cluster)


def read_expiry(fields: Fields, now: datetime, limit: datetime | None) -> datetime | None:
    """The field `expires_at`, at ``limit`` at the latest; None without end."""
    moment: datetime | None = None
    text = fields.optional_text("expires_at", None, timestamp.EXPECTED)
    if text is not None:
        try:
            moment = timestamp.parse(text)
        except ValueError:
            fields.problem("expires_at", "is not a time", timestamp.EXPECTED)
        else:
            if moment <= now:
                fields.problem("expires_at", "is in the past", "a time to come")
    if limit is not None and (moment is None or moment > limit):
        fields.problem(
            "expires_at",
            "is later than the end of the token that you call with",
            f"a time up to {timestamp.render(limit)}",
        )
    return moment
