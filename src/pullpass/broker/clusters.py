"""The clusters that agents look after, and how those learn that there is something to do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from pullpass.broker import cluster_reports
from pullpass.broker.audit import Auditor
from pullpass.broker.clock import Clock
from pullpass.broker.follower import Follower
from pullpass.broker.snapshots import Snapshots
from pullpass.domain import access
from pullpass.domain.access import Caller
from pullpass.domain.audit import AuditAction
from pullpass.domain.cluster import Cluster
from pullpass.domain.errors import FieldProblem, InvalidFields, NotFound
from pullpass.domain.record import CLUSTER_EXPECTED, is_cluster_name
from pullpass.store.changes import ChangeFeed, organization_feed
from pullpass.store.clusters import ClusterStore


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """What changed up to ``revision``; ``registries`` is None where everything may have."""

    revision: int
    registries: frozenset[str] | None


class ClusterService:
    def __init__(
        self,
        store: ClusterStore,
        feed: ChangeFeed,
        follower: Follower,
        snapshots: Snapshots,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._feed = feed
        self._follower = follower
        self._snapshots = snapshots
        self._audit = audit
        self._clock = clock

    async def report(self, caller: Caller, cluster: str, body: Mapping[str, object]) -> Cluster:
        """Keep what the agent of ``cluster`` says of it.

        Raises:
            InvalidFields: not a report, or not the name of a cluster.
            Forbidden: a `cluster` caller speaks for another cluster than its own.
        """
        report = cluster_reports.read(body)
        if not is_cluster_name(cluster):
            problem = f"is {cluster[:80]!a}"
            raise InvalidFields([FieldProblem("cluster", problem, CLUSTER_EXPECTED)])
        access.cluster_scope(caller, cluster)
        found = Cluster(cluster, self._clock(), report)
        await self._store.save(caller.organization, found)
        return found

    async def list(self, caller: Caller) -> list[Cluster]:
        """The clusters that have reported, by name; to a `cluster` caller its own alone."""
        own = caller.membership.cluster
        found = await self._store.list(caller.organization)
        return [cluster for cluster in found if own in (None, cluster.id)]

    async def get(self, caller: Caller, cluster: str) -> Cluster:
        """Raises NotFound where no agent has ever reported from there (``cluster_unknown``)."""
        own = caller.membership.cluster
        found = None
        if own in (None, cluster):
            found = await self._store.get(caller.organization, cluster)
        if found is None:
            raise _unknown(cluster)
        return found

    def connected(self, cluster: Cluster) -> bool:
        """Whether its agent has reported lately."""
        return cluster.connected(self._clock())

    async def revision(self, caller: Caller) -> int:
        """That of the organization's records now; agents tell which one they know.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self._snapshots.about(caller.organization)
        return self._follower.applied(organization_feed(caller.organization))

    async def forget(self, caller: Caller, cluster: str) -> None:
        """Drop the last report of a cluster that is no more.

        Raises:
            NotFound: there is none (``cluster_unknown``).
        """
        audit = self._audit.change(
            caller.principal,
            [caller.organization],
            AuditAction.FORGET_CLUSTER,
            subject_id=cluster,
        )
        now = self._clock()
        if not await self._store.delete(caller.organization, cluster, now=now, audit=audit):
            raise _unknown(cluster)

    async def changes(self, caller: Caller, since: int | None, wait: float) -> RecordChanges | None:
        """What happened to the records after revision ``since``; without one, the newest revision.

        Where nothing did, the answer waits for up to ``wait`` seconds and is None then.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        newest = await self.revision(caller)
        if since is None:
            return RecordChanges(newest, None)
        feed = organization_feed(caller.organization)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._follower.moved(feed, since)
        if self._follower.applied(feed) == since:
            return None
        changes = await self._feed.since(feed, since)
        if changes is None:
            return RecordChanges(self._follower.applied(feed), None)
        last = max(change.revision for change in changes) if changes else since
        return RecordChanges(last, frozenset(change.subject for change in changes))


def _unknown(cluster: str) -> NotFound:
    return NotFound(
        f"No agent has reported from a cluster '{cluster[:64]}' in this organization.",
        code="cluster_unknown",
    )
