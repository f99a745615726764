"""Records, users, times and audit entries for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pullpass.domain.audit import Actor, AuditAction, Event, Wanted
from pullpass.domain.identity import Membership, User, UserType
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.record import Record, Secrets
from pullpass.domain.record_types import RecordType
from pullpass.store.audit_reading import AuditReader
from pullpass.store.engine import Database

NOW = datetime(2030, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


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


def an_event(
    number: int = 0,
    *,
    organization: str = "acme",
    action: AuditAction = AuditAction.READ_CREDENTIAL,
    at: datetime | None = None,
    user: str = "ada",
    code: str | None = None,
) -> Event:
    return Event(
        organization,
        action,
        at or NOW + number * MINUTE,
        Actor(user, user.title(), "laptop", "admin"),
        "GET",
        f"/orgs/{organization}/image-creds",
        403 if code else 200,
        code=code,
        registry_id=f"r{number}",
        image=f"ghcr.io/acme/app:{number}",
    )


async def images(database: Database, wanted: Wanted = Wanted()) -> list[str]:  # noqa: B008
    """The numbers of the events in the log of `acme`, the newest first."""
    found, rest = await AuditReader(database).page("acme", wanted, before=None, limit=100)
    assert rest is None
    return [entry.document.partition(':"ghcr.io/acme/app:')[2].split('"')[0] for entry in found]
