"""What is thrown away, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pullpass.broker.maintenance import CHANGES_KEPT, EXPIRED_TOKENS_KEPT, Maintenance
from pullpass.domain import token
from pullpass.domain.identity import Organization, TokenInfo, User, UserType
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
