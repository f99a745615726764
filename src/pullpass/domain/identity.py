"""Organizations, the users in them, and the tokens that users call with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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
    """As the reference document names them: a person, a program, or Pullpass itself."""

    USER = "user"
    SERVICE = "service"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Membership:
    """A role in one organization; ``cluster`` is set for, and only for, the role `cluster`."""

    role: Role
    cluster: str | None = None


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
    """What may be known of a token; ``id`` is unique among the tokens of its user."""

    user_id: str
    id: str
    description: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: the user, and the token that it came with."""

    user: User
    token_id: str
    token_expires_at: datetime | None = None
