"""Records, users and times for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime

from pullpass.domain.identity import Membership, User, UserType
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.record import Record, Secrets
from pullpass.domain.record_types import RecordType

NOW = datetime(2030, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)


def a_record(
    record_id: str = "ghcr",
    registry: str | None = None,
    *,
    record_type: RecordType = RecordType.BASIC,
    enable_ci: bool = False,
    secrets: Secrets | None = None,
    options: dict[str, str] | None = None,
) -> Record:
    """Without ``registry``, one of its own for each id."""
    written = registry or f"{record_id}.example.com"
    return Record(
        record_id,
        written,
        RegistryPrefix.parse(written),
        record_type,
        enable_ci,
        secrets,
        options,
        created_at=NOW,
        created_by="ada",
    )


def a_user(
    user_id: str = "ada",
    *,
    name: str | None = None,
    email: str | None = None,
    memberships: dict[str, Membership] | None = None,
) -> User:
    return User(user_id, name or user_id, UserType.USER, NOW, email, memberships or {})
