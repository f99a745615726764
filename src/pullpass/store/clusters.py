"""The last report of each cluster's agent."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select

from pullpass.domain.cluster import Cluster, ClusterReport, Problem, RegistryReport
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.changes import announce, cluster_feed
from pullpass.store.engine import Database, insert
from pullpass.store.schema import clusters
from pullpass.store.users import require_organization

CHANGE_KIND = "cluster"


class ClusterStore:
    """Each report goes to a change feed, so that pages which show it learn of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, organization: str, cluster: Cluster) -> None:
        """Keep ``cluster``, unless a later report is there.

        Raises:
            NotFound: there is no such organization.
        """
        row = {
            "reported_at": cluster.reported_at,
            "report": json.dumps(dataclasses.asdict(cluster.report)),
        }
        feed = cluster_feed(organization)
        async with self._database.write() as connection:
            await announce(connection, feed, CHANGE_KIND, cluster.id, cluster.reported_at)
            await require_organization(connection, organization)
            put = insert(connection, clusters).values(
                organization_id=organization, id=cluster.id, **row
            )
            newest = put.on_conflict_do_update(
                index_elements=[clusters.c.organization_id, clusters.c.id],
                set_=row,
                where=clusters.c.reported_at <= put.excluded.reported_at,
            )
            await connection.execute(newest)

    async def list(self, organization: str) -> list[Cluster]:
        query = (
            select(clusters)
            .where(clusters.c.organization_id == organization)
            .order_by(clusters.c.id)
        )
        async with self._database.read() as connection:
            return [_cluster(row) for row in await connection.execute(query)]

    async def get(self, organization: str, cluster_id: str) -> Cluster | None:
        query = select(clusters).where(
            clusters.c.organization_id == organization, clusters.c.id == cluster_id
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _cluster(row)

    async def delete(
        self,
        organization: str,
        cluster_id: str,
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> bool:
        """Whether there was one. ``audit`` adds what is written with it, in its transaction."""
        query = delete(clusters).where(
            clusters.c.organization_id == organization, clusters.c.id == cluster_id
        )
        async with self._database.write() as connection:
            await announce(connection, cluster_feed(organization), CHANGE_KIND, cluster_id, now)
            if (await connection.execute(query)).rowcount > 0:
                await audit(connection)
                return True
            await connection.rollback()
        return False


def _cluster(row: Row[Any]) -> Cluster:
    report = json.loads(row.report)
    registries = tuple(_registry(item) for item in report["registries"])
    return Cluster(row.id, row.reported_at, ClusterReport(**{**report, "registries": registries}))


def _registry(item: dict[str, Any]) -> RegistryReport:
    problems = tuple(Problem(**each) for each in item["problems"])
    # An agent of before does not name them.
    held_in = tuple(item.get("held_in", ()))
    return RegistryReport(**{**item, "problems": problems, "held_in": held_in})
