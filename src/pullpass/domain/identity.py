"""Organizations, the users in them, and the tokens that users call with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# The reference document's pattern for organization ids, and its length.
ORGANIZATION_ID_LENGTH = 50
ORGANIZATION_ID = re.compile(r"[a-z0-9](?:-?[a-z0-9]+)+")


class Role(StrEnum):
    ADMIN = "admin"
    EDITOR = "editor"
    READER = "reader"
    PULLER = "puller"
    CI = "ci"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    name: str
    created_at: datetime
    created_by: str


class UserType(StrEnum):
    """As the reference document names them: a person, a program, or what Pullpass itself makes
    and changes, which is the user behind a trust rule.
    """

    USER = "user"
    SERVICE = "service"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Membership:
    """A role in one organization; ``cluster`` is set for, and only for, the role `cluster`.

    ``registries`` are patterns for the ids of the records whose credentials the member may get;
    None: no limit besides the role's.
    """

    role: Role
    cluster: str | None = None
    registries: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    type: UserType
    created_at: datetime
    email: str | None = None
    memberships: Mapping[str, Membership] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be known of a token; ``id`` is unique among the tokens of its user.

    ``subject``: who got it for an identity token, or by signing in with the organization's
    provider, as the issuer names them.
    """

    user_id: str
    id: str
    description: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The call that something was asked by, as the audit log shows it.

    ``status`` is what the call answers where it succeeds. ``request_id``, ``address`` and
    ``user_agent`` are None for what is done on the server's machine.
    """

    method: str
    path: str
    status: int
    request_id: str | None = None
    address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: the user, the token that it came with, and the call; ``subject`` as
    in :class:`TokenInfo`.
    """

    user: User
    token_id: str
    token_expires_at: datetime | None = None
    subject: str | None = None
    origin: Origin | None = None

    @property
    def signed_in(self) -> bool:
        """Whether it is a person who came by the organization's provider, without a token."""
        return self.subject is not None and self.user.type is UserType.USER

    def limit_for(self, owner_id: str) -> datetime | None:
        """When a token ends at the latest that the caller makes for that user: no later than what
        it came with. What a person who signed in makes for others is theirs, and has no limit.
        """
        if self.signed_in and owner_id != self.user.id:
            return None
        return self.token_expires_at
