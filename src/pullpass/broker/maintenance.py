"""What has to be thrown away in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from pullpass.broker.clock import Clock
from pullpass.domain.errors import StoreUnavailable
from pullpass.store.audit import AuditStore
from pullpass.store.browser_sessions import BrowserSessionStore
from pullpass.store.changes import ChangeFeed
from pullpass.store.identity import IdentityStore
from pullpass.store.issued import IssuedStore

# A replica that was away for longer loads everything anew.
CHANGES_KEPT = timedelta(days=1)
# Long enough to see in a list why a job stopped working.
EXPIRED_TOKENS_KEPT = timedelta(days=30)
# Every job gets one: they would fill the list.
EXCHANGED_TOKENS_KEPT = timedelta(days=1)
# Longer than the longest wait after a failure, which must not be forgotten.
ISSUED_KEPT = timedelta(days=1)
_INTERVAL = timedelta(hours=1)

_log = structlog.get_logger("pullpass.maintenance")


class Maintenance:
    """Forgets old changes, long expired tokens, ended sessions, what was issued and has ended, and
    of the audit log what is older than ``audit_kept`` (None: nothing). Every replica may do it at
    any time.
    """

    def __init__(
        self,
        feed: ChangeFeed,
        identity: IdentityStore,
        browser_sessions: BrowserSessionStore,
        issued: IssuedStore,
        clock: Clock,
        *,
        audit: AuditStore | None = None,
        audit_kept: timedelta | None = None,
    ) -> None:
        self._audit = audit
        self._audit_kept = audit_kept
        self._issued = issued
        self._browser_sessions = browser_sessions
        self._feed = feed
        self._identity = identity
        self._clock = clock

    async def once(self) -> None:
        """Raises StoreUnavailable where the database does not answer."""
        now = self._clock()
        changes = await self._feed.prune(now - CHANGES_KEPT)
        tokens = await self._identity.purge_expired_tokens(
            now - EXPIRED_TOKENS_KEPT, now - EXCHANGED_TOKENS_KEPT
        )
        sessions = await self._browser_sessions.purge(now)
        issued = await self._issued.purge(now - ISSUED_KEPT)
        entries = 0
        if self._audit is not None and self._audit_kept is not None:
            entries = await self._audit.prune_all(now - self._audit_kept)
        if changes or tokens or sessions or issued or entries:
            _log.info(
                "maintenance",
                changes_forgotten=changes,
                tokens_deleted=tokens,
                sessions_deleted=sessions,
                issued_forgotten=issued,
                audit_entries_deleted=entries,
            )

    async def run(self) -> None:
        """Once an hour until cancelled; a database that is away is tried again next time."""
        while True:
            await asyncio.sleep(_INTERVAL.total_seconds())
            try:
                await self.once()
            except StoreUnavailable as error:
                _log.warning("maintenance put off", error=error.message)
