"""From a token to the caller behind it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from pullpass.broker.attempts import FailedAttempts
from pullpass.broker.clock import Clock
from pullpass.broker.follower import Follower
from pullpass.broker.rate import RateLimit
from pullpass.domain import token as tokens
from pullpass.domain.errors import Unauthenticated
from pullpass.domain.identity import Origin, Principal, TokenInfo, User
from pullpass.store.changes import IDENTITY_FEED, Change, ChangeFeed
from pullpass.store.identity import IdentityStore

_REMEMBERED = 10_000


class Sessions:
    """Authenticates tokens; remembers the answers until the identity feed says otherwise."""

    def __init__(
        self,
        identity: IdentityStore,
        feed: ChangeFeed,
        follower: Follower,
        rate: RateLimit,
        clock: Clock,
    ) -> None:
        self._rate = rate
        self._identity = identity
        self._feed = feed
        self._follower = follower
        self._clock = clock
        self._attempts = FailedAttempts()
        self._known: OrderedDict[str, tuple[TokenInfo, User]] = OrderedDict()
        self._by_user: dict[str, set[str]] = {}

    async def start(self) -> None:
        """Begin to follow the identity feed. Call once, before the first request."""
        heads = await self._feed.heads((IDENTITY_FEED,))
        self._follower.watch(IDENTITY_FEED, heads.get(IDENTITY_FEED, 0), self._apply)

    async def authenticate(self, token: str, origin: Origin | None = None) -> Principal:
        """The caller that ``token`` stands for; ``origin`` is the call that it came with.

        Raises:
            Unauthenticated: malformed, unknown, revoked or expired.
            TooManyAttempts: it is not known here, and too many from its address were unknown.
            RateLimited: it makes too many calls.
            StoreUnavailable: the database does not answer, and memory is too old to be used.
        """
        digest = tokens.digest(token)
        if digest not in self._known and not tokens.is_well_formed(token):
            raise Unauthenticated(
                "The token is malformed: it may have been cut off or mistyped.",
                code="malformed_token",
            )
        return await self.authenticate_digest(digest, origin)

    async def authenticate_digest(self, digest: str, origin: Origin | None = None) -> Principal:
        """The caller of the token with that digest.

        Raises:
            Unauthenticated: unknown, revoked or expired.
            RateLimited, StoreUnavailable: as :meth:`authenticate`.
        """
        await self._follower.ensure_fresh()
        found = self._known.get(digest)
        if found is None:
            address = None if origin is None else origin.address
            self._attempts.require(address, self._clock())
            found = await self._look_up(digest)
            if found is None:
                self._attempts.failed(address, self._clock())
        if found is None:
            raise Unauthenticated("The token is unknown or was revoked.", code="invalid_token")
        info, user = found
        if _expired(info, self._clock()):
            raise Unauthenticated("The token has expired. Ask for a new one.", code="expired_token")
        self._rate.require(digest)
        return Principal(user, info.id, info.expires_at, info.subject, origin)

    async def refresh(self) -> None:
        """Make a change to users or tokens that was just committed visible here at once."""
        await self._follower.catch_up()

    async def _look_up(self, digest: str) -> tuple[TokenInfo, User] | None:
        before = self._follower.applied(IDENTITY_FEED)
        found = await self._identity.find_token(digest)
        # A revocation that was applied during the look-up may be newer than what was read.
        if found is not None and self._follower.applied(IDENTITY_FEED) == before:
            self._remember(digest, found)
        return found

    def _remember(self, digest: str, found: tuple[TokenInfo, User]) -> None:
        self._known[digest] = found
        self._by_user.setdefault(found[1].id, set()).add(digest)
        if len(self._known) > _REMEMBERED:
            oldest, (_, user) = self._known.popitem(last=False)
            self._by_user[user.id].discard(oldest)

    async def _apply(self, changes: Sequence[Change] | None) -> None:
        if changes is None:
            self._known.clear()
            self._by_user.clear()
            return
        for change in changes:
            for digest in self._by_user.pop(change.subject, ()):
                self._known.pop(digest, None)


def _expired(info: TokenInfo, now: datetime) -> bool:
    return info.expires_at is not None and info.expires_at <= now
