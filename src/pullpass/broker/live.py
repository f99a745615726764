"""Whether anything that a page shows has changed, on whichever replica."""

from __future__ import annotations

from collections.abc import Sequence

from pullpass.broker.follower import Follower
from pullpass.broker.snapshots import Snapshots
from pullpass.store.changes import (
    IDENTITY_FEED,
    Change,
    ChangeFeed,
    check_feed,
    cluster_feed,
    organization_feed,
)


class LiveRevisions:
    """Answers from what the follower has applied: asking is free, however many pages are open."""

    def __init__(self, feed: ChangeFeed, follower: Follower, snapshots: Snapshots) -> None:
        self._feed = feed
        self._follower = follower
        self._snapshots = snapshots
        self._followed: set[str] = set()

    async def follow(self, organization: str) -> None:
        """To be awaited once before anything is asked about the organization.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self._snapshots.about(organization)
        for feed in (check_feed(organization), cluster_feed(organization)):
            if feed not in self._followed:
                heads = await self._feed.heads((feed,))
                if feed not in self._followed:
                    self._followed.add(feed)
                    self._follower.watch(feed, heads[feed], _nothing)

    def records(self, organization: str) -> str:
        """Another text after every change of the organization's records, or of their status."""
        records = self._follower.applied(organization_feed(organization))
        return f"{records}.{self._follower.applied(check_feed(organization))}"

    def clusters(self, organization: str) -> str:
        """Another text after every report of an agent, and after every change of the records,
        which the agents may be behind.
        """
        records = self._follower.applied(organization_feed(organization))
        return f"{records}.{self._follower.applied(cluster_feed(organization))}"

    @property
    def over(self) -> bool:
        """Whether nothing more is to be waited for: the server stops."""
        return self._follower.released

    def identity(self) -> int:
        """Another number after every change of users, roles or tokens."""
        return self._follower.applied(IDENTITY_FEED)


async def _nothing(_: Sequence[Change] | None) -> None:
    """The number is all that counts."""
