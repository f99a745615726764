"""Browsers that are signed in: a session stands for the token that was typed at its begin."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pullpass.broker.clock import Clock
from pullpass.broker.sessions import Sessions
from pullpass.domain import token as tokens
from pullpass.domain.credential import Secret
from pullpass.domain.errors import Unauthenticated
from pullpass.domain.identity import Origin, Principal
from pullpass.store.browser_sessions import BrowserSessionStore, StoredSession

# A working day: whoever comes back tomorrow signs in again.
LONGEST = timedelta(hours=12)
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """``id`` is the cookie's value. ``form_key`` goes into every form, so that only pages of
    this session can send one; nothing can be told from it about the id.
    """

    id: Secret
    principal: Principal
    expires_at: datetime
    form_key: str = field(repr=False)


class BrowserSessions:
    """No state of its own: any replica can resume what another has begun."""

    def __init__(self, store: BrowserSessionStore, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock

    async def begin(
        self, token: str, replaces: str | None, origin: Origin | None = None
    ) -> BrowserSession:
        """A new session for ``token``; the one with the id ``replaces`` ends.

        It lasts for :data:`LONGEST`, and never longer than the token.

        Raises:
            Unauthenticated: as :meth:`Sessions.authenticate`.
        """
        principal = await self._sessions.authenticate(token, origin)
        expires_at = self._clock() + LONGEST
        if principal.token_expires_at is not None:
            expires_at = min(expires_at, principal.token_expires_at)
        session_id = Secret(secrets.token_urlsafe(_RANDOM_BYTES))
        stored = StoredSession(tokens.digest(token), expires_at)
        old = None if replaces is None else _digest(replaces)
        if not await self._store.begin(_digest(session_id.reveal()), stored, replaces=old):
            raise Unauthenticated("The token was revoked.", code="invalid_token")
        return _session(session_id, principal, expires_at)

    async def resume(self, session_id: str, origin: Origin | None = None) -> BrowserSession:
        """The session with that id; ``origin`` is the call that asks for it.

        Raises:
            Unauthenticated: it has ended, or its token was revoked or has expired.
            StoreUnavailable: the database does not answer.
        """
        stored = await self._store.find(_digest(session_id))
        if stored is None or stored.expires_at <= self._clock():
            raise Unauthenticated("Your session has ended. Sign in again.", code="session_ended")
        principal = await self._sessions.authenticate_digest(stored.token_digest, origin)
        return _session(Secret(session_id), principal, stored.expires_at)

    async def end(self, session_id: str) -> None:
        """End the session on every replica; nothing where there is none."""
        await self._store.end(_digest(session_id))


def _session(session_id: Secret, principal: Principal, expires_at: datetime) -> BrowserSession:
    key = hmac.digest(session_id.reveal().encode(), b"pullpass form key", hashlib.sha256)
    return BrowserSession(session_id, principal, expires_at, key.hex())


def _digest(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
