"""Keeps what is in memory as fresh as the database, on every replica.

Every replica polls the heads of the feeds that it holds something of (one indexed query) and
applies what is new. What is in memory may be used only while the last successful poll began
less than :data:`STALE_AFTER` ago: a replica that has lost the database stops answering from
memory before the second is over in which a revoked token must stop working.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from pullpass.domain.errors import StoreUnavailable
from pullpass.store.changes import Change, ChangeFeed

POLL_INTERVAL = 0.25
STALE_AFTER = 0.9

# None: the feed no longer reaches back to what was applied last, load everything anew.
Apply = Callable[[Sequence[Change] | None], Awaitable[None]]

_log = structlog.get_logger("pullpass.follower")


@dataclass(slots=True)
class _Watch:
    applied: int
    apply: Apply
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def move(self, revision: int) -> None:
        self.applied = revision
        self.moved.set()
        self.moved = asyncio.Event()


class Follower:
    """Polls the change feed; ``run`` is the background task, ``catch_up`` asks for it now."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self._watches: dict[str, _Watch] = {}
        self._lock = asyncio.Lock()
        self._begun = 0
        self._succeeded = 0
        self._fresh_until = 0.0
        self._released = False

    def watch(self, feed: str, revision: int, apply: Apply) -> None:
        """Call ``apply`` with every change of ``feed`` after ``revision``, in order.

        ``apply`` may see a change twice and must not mind.
        """
        self._watches[feed] = _Watch(revision, apply)

    def applied(self, feed: str) -> int:
        """The revision up to which the changes of a watched ``feed`` were applied."""
        return self._watches[feed].applied

    async def moved(self, feed: str, revision: int) -> None:
        """Return as soon as what was applied of ``feed`` is not ``revision``, or nobody is to wait
        any more.
        """
        while not self._released and (watch := self._watches[feed]).applied == revision:
            await watch.moved.wait()

    def release(self) -> None:
        """Let nobody wait for a change any more: the server stops, and answers what has begun."""
        self._released = True
        for watch in self._watches.values():
            watch.moved.set()

    @property
    def released(self) -> bool:
        """Whether nobody is to wait any more."""
        return self._released

    @property
    def fresh(self) -> bool:
        """Whether what was applied is of a poll that began less than STALE_AFTER seconds ago."""
        return time.monotonic() < self._fresh_until

    async def ensure_fresh(self) -> None:
        """Catch up where the last poll is too long ago.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if not self.fresh:
            await self.catch_up()

    async def advance(self, feed: str, first: int, last: int, apply: Callable[[], None]) -> None:
        """Return when what this process itself committed to ``feed``, at ``first`` up to ``last``,
        has been applied: by ``apply``, where it comes next, without asking the database.

        Raises:
            StoreUnavailable: there is more to apply, and the database does not answer.
        """
        async with self._lock:
            watch = self._watches[feed]
            if watch.applied == first - 1:
                apply()
                watch.move(last)
            if watch.applied >= last:
                return
        await self.catch_up()

    async def catch_up(self) -> None:
        """Return when a poll that began after this call has been applied.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        arrived = self._begun
        async with self._lock:
            if self._succeeded > arrived:
                return
            self._begun += 1
            poll, began = self._begun, time.monotonic()
            await self._poll()
            self._succeeded, self._fresh_until = poll, began + STALE_AFTER

    async def _poll(self) -> None:
        heads = await self._feed.heads(tuple(self._watches))
        for name, head in heads.items():
            watch = self._watches[name]
            if head == watch.applied:
                continue
            # A head behind what was applied is a database restored from a backup.
            behind = head < watch.applied
            changes = None if behind else await self._feed.since(name, watch.applied)
            await watch.apply(changes)
            # A watch that was replaced meanwhile still has those who wait for it.
            watch.move(max(head, changes[-1].revision) if changes else head)

    async def run(self) -> None:
        """Poll until cancelled. An unreachable database is logged once, and once when back."""
        reachable = True
        while True:
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                if reachable:
                    _log.warning("change feed unreachable", error=error.message)
                reachable = False
            else:
                if not reachable:
                    _log.info("change feed reachable again")
                reachable = True
            await asyncio.sleep(POLL_INTERVAL)
