from __future__ import annotations

from datetime import timedelta

import pytest

from pullpass.domain.identity import TokenInfo, User
from pullpass.store.browser_sessions import BrowserSessionStore, StoredSession
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from tests.store.values import NOW

HOUR = timedelta(hours=1)


@pytest.fixture
async def sessions(database: Database, admin: User) -> BrowserSessionStore:
    info = TokenInfo(admin.id, "first", "", NOW, admin.id, None)
    await IdentityStore(database).create_token(info, "token-digest", now=NOW)
    return BrowserSessionStore(database)


async def test_a_session_is_found_until_it_ends(sessions: BrowserSessionStore) -> None:
    session = StoredSession("token-digest", NOW + HOUR)
    assert await sessions.begin("one", session, replaces=None)
    assert await sessions.find("one") == session
    assert await sessions.find("two") is None
    await sessions.end("one")
    await sessions.end("one")
    assert await sessions.find("one") is None


async def test_a_session_takes_the_place_of_the_one_before(sessions: BrowserSessionStore) -> None:
    session = StoredSession("token-digest", NOW + HOUR)
    await sessions.begin("one", session, replaces="nothing")
    await sessions.begin("two", session, replaces="one")
    assert await sessions.find("one") is None
    assert await sessions.find("two") == session


async def test_a_deleted_token_takes_its_sessions_along(
    sessions: BrowserSessionStore, database: Database, admin: User
) -> None:
    session = StoredSession("token-digest", NOW + HOUR)
    await sessions.begin("one", session, replaces=None)
    assert await IdentityStore(database).delete_token(admin.id, "first", now=NOW)
    assert await sessions.find("one") is None
    assert not await sessions.begin("two", session, replaces=None)


async def test_ended_sessions_are_forgotten(sessions: BrowserSessionStore) -> None:
    for name, ends_at in (("old", NOW - HOUR), ("new", NOW + HOUR)):
        await sessions.begin(name, StoredSession("token-digest", ends_at), replaces=None)
    assert await sessions.purge(NOW) == 1
    assert await sessions.find("old") is None
    assert await sessions.find("new") is not None
