"""The last report of each cluster's agent."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from sqlalchemy import Row, delete, select

from pullpass.domain.cluster import Cluster, ClusterReport, Problem, RegistryReport
from pullpass.store.engine import Database, insert
from pullpass.store.schema import clusters
from pullpass.store.users import require_organization


class ClusterStore:
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
        async with self._database.write() as connection:
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

    async def delete(self, organization: str, cluster_id: str) -> bool:
        """Whether there was one."""
        query = delete(clusters).where(
            clusters.c.organization_id == organization, clusters.c.id == cluster_id
        )
        async with self._database.write() as connection:
            return (await connection.execute(query)).rowcount > 0


def _cluster(row: Row[Any]) -> Cluster:
    report = json.loads(row.report)
    registries = tuple(
        RegistryReport(**{**item, "problems": tuple(Problem(**each) for each in item["problems"])})
        for item in report["registries"]
    )
    return Cluster(row.id, row.reported_at, ClusterReport(**{**report, "registries": registries}))
