"""What is thrown away, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pullpass.broker.maintenance import CHANGES_KEPT, EXPIRED_TOKENS_KEPT, Maintenance
from pullpass.domain import token
from pullpass.domain.audit import Actor, AuditAction, Event
from pullpass.domain.identity import Organization, TokenInfo, User, UserType
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.audit_reading import AuditReader
from pullpass.store.browser_sessions import BrowserSessionStore
from pullpass.store.changes import IDENTITY_FEED, ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.issued import IssuedStore
from pullpass.store.migrations import migrate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


async def test_old_changes_and_long_expired_tokens_go(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'pullpass.db'}")
    try:
        await migrate(database)
        feed, identity = ChangeFeed(database), IdentityStore(database)
        then = NOW - CHANGES_KEPT - MOMENT
        admin = User("admin", "admin", UserType.USER, then)
        await identity.create_organization(
            Organization("acme", "Acme", then, "admin"), admin, now=then
        )
        for name, expires in (
            ("lasting", None),
            ("long gone", NOW - EXPIRED_TOKENS_KEPT - MOMENT),
            ("just gone", NOW - MOMENT),
        ):
            info = TokenInfo("admin", name, "", then, "admin", expires)
            await identity.create_token(info, token.digest(name), now=then)
        await identity.update_profile("admin", name="Ann", email=None, now=NOW)
        head = (await feed.heads([IDENTITY_FEED]))[IDENTITY_FEED]

        await Maintenance(
            feed, identity, BrowserSessionStore(database), IssuedStore(database), lambda: NOW
        ).once()

        assert {info.id for info in await identity.tokens("admin")} == {"lasting", "just gone"}
        recent = await feed.since(IDENTITY_FEED, head - 1)
        assert recent is not None
        assert [change.subject for change in recent] == ["admin"]
        assert await feed.since(IDENTITY_FEED, 0) is None
    finally:
        await database.close()


async def test_the_audit_log_is_kept_for_ever_or_as_long_as_it_should_be(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'pullpass.db'}")
    try:
        await migrate(database)
        audit, reader = AuditStore(database, AuditKey(b"k" * 32)), AuditReader(database)
        kept = timedelta(days=30)
        for at in (NOW - kept - MOMENT, NOW - kept):
            actor = Actor("ada", "Ada")
            event = Event("acme", AuditAction.CREATE_ORGANIZATION, at, actor, "LOCAL", "init", 201)
            await audit.append([event])
        parts = (
            ChangeFeed(database),
            IdentityStore(database),
            BrowserSessionStore(database),
            IssuedStore(database),
        )

        await Maintenance(*parts, lambda: NOW, audit=audit).once()
        assert len(await reader.after("acme", 0, limit=10)) == 2
        await Maintenance(*parts, lambda: NOW, audit=audit, audit_kept=kept).once()
        assert [entry.sequence for entry in await reader.after("acme", 0, limit=10)] == [2]
    finally:
        await database.close()
