"""The last report of a cluster is kept; an older one never comes after it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pullpass.domain.cluster import Cluster, ClusterReport, Problem, RegistryReport
from pullpass.domain.errors import NotFound
from pullpass.domain.identity import User
from pullpass.store.clusters import ClusterStore
from pullpass.store.engine import Database
from tests.store.values import NOW

REPORT = ClusterReport(
    "1.0", "all", 7, 3, (RegistryReport("ghcr", 1, 0, 1, (Problem("a", "conflict", "Why."),)),)
)


async def test_a_report_comes_back_as_it_was(database: Database, admin: User) -> None:
    store = ClusterStore(database)
    cluster = Cluster("prod", NOW, REPORT)
    await store.save("acme", cluster)
    assert await store.get("acme", "prod") == cluster
    assert await store.list("acme") == [cluster]
    assert await store.list("globex") == []
    assert await store.get("globex", "prod") is None


async def test_an_older_report_does_not_replace_a_newer_one(
    database: Database, admin: User
) -> None:
    store = ClusterStore(database)
    newer = Cluster("prod", NOW, REPORT)
    await store.save("acme", newer)
    await store.save(
        "acme", Cluster("prod", NOW - timedelta(seconds=1), ClusterReport("0", "all", 0, 0))
    )
    assert await store.get("acme", "prod") == newer


async def test_a_cluster_is_deleted_once(database: Database, admin: User) -> None:
    store = ClusterStore(database)
    await store.save("acme", Cluster("prod", NOW, REPORT))
    assert not await store.delete("globex", "prod", now=NOW)
    assert await store.delete("acme", "prod", now=NOW)
    assert not await store.delete("acme", "prod", now=NOW)


async def test_there_is_no_report_without_its_organization(database: Database) -> None:
    with pytest.raises(NotFound):
        await ClusterStore(database).save("nobody", Cluster("prod", NOW, REPORT))
