"""Organizations, users and their tokens, as the server answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pullpass.client.fields import Fields
from pullpass.client.secret import Secret


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    name: str
    created_at: datetime | None = None
    created_by: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Organization:
        return cls(
            fields.text("id"),
            fields.text("name"),
            fields.moment("created_at"),
            fields.optional_text("created_by"),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A user with the roles it holds: `/orgs/{id}` -> role."""

    id: str
    name: str
    type: str
    roles: Mapping[str, str]
    email: str | None = None
    properties: Mapping[str, object] | None = None
    created_at: datetime | None = None

    @classmethod
    def read(cls, fields: Fields) -> Profile:
        return cls(
            id=fields.text("id"),
            name=fields.text("name"),
            type=fields.text("type"),
            roles={key: str(role) for key, role in (fields.raw("roles") or {}).items()},
            email=fields.optional_text("email"),
            properties=fields.raw("properties"),
            created_at=fields.moment("created_at"),
        )


@dataclass(frozen=True, slots=True)
class User:
    """A member of one organization; ``cluster`` belongs to the role `cluster`."""

    id: str
    name: str
    type: str
    role: str
    email: str | None = None
    cluster: str | None = None
    created_at: datetime | None = None

    @classmethod
    def read(cls, fields: Fields) -> User:
        return cls(
            id=fields.text("id"),
            name=fields.text("name"),
            type=fields.text("type"),
            role=fields.text("role"),
            email=fields.optional_text("email"),
            cluster=fields.optional_text("cluster"),
            created_at=fields.moment("created_at"),
        )


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token; the token itself is shown once, when it is created.

    ``subject``: whose identity token it was given for.
    """

    id: str
    type: str
    description: str
    created_at: datetime | None = None
    created_by: str | None = None
    expires_at: datetime | None = None
    subject: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> TokenInfo:
        return cls(
            id=fields.text("id"),
            type=fields.text("type"),
            description=fields.optional_text("description") or "",
            created_at=fields.moment("created_at"),
            created_by=fields.optional_text("created_by"),
            expires_at=fields.moment("expires_at"),
            subject=fields.optional_text("subject"),
        )


@dataclass(frozen=True, slots=True)
class IssuedToken:
    token: Secret
    type: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> IssuedToken:
        return cls(Secret(fields.text("token")), fields.optional_text("type"))
