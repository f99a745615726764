"""Clusters: whose agents are connected, how far behind they are, and what they could not do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from pullpass.domain.access import Action
from pullpass.domain.cluster import Cluster, Problem, RegistryReport
from pullpass.web.cookie import is_secure
from pullpass.web.live import cluster_events
from pullpass.web.page import Page
from pullpass.web.paging import Tab, part_of
from pullpass.web.visit import Visit

_PAGE = 50
_LONGEST_TEXT = 200
_STATES = {"": "All", "failed": "Failed", "pending": "Pending"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A cluster as the pages show it; ``behind`` counts the changes that its agent does not know,
    and the secrets are the sums over its records.
    """

    cluster: Cluster
    connected: bool
    behind: int
    secrets: int
    pending: int
    failed: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A cluster, and what its agent reports of one record."""

    cluster: str
    connected: bool
    report: RegistryReport


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the secret of a record is not right in a namespace."""

    record_id: str
    problem: Problem


async def list_clusters(visit: Visit) -> Response:
    events = await cluster_events(visit)
    found = await visit.services.clusters.list(visit.caller)
    newest = await visit.services.clusters.revision(visit.caller)
    return visit.page(
        "clusters.html",
        events=events,
        clusters=[_shown(visit, cluster, newest) for cluster in found],
        server=_server(visit),
    )


async def show_cluster(visit: Visit) -> Response:
    services = visit.services
    events = await cluster_events(visit)
    cluster = await services.clusters.get(visit.caller, visit.path("cluster"))
    text = visit.query("q").strip()[:_LONGEST_TEXT]
    state = visit.query("state") if visit.query("state") in _STATES else ""
    registries = [each for each in cluster.report.registries if _takes(each, state)]
    given = {"q": text, "state": state}

    def query_of(**more: object) -> str:
        return "?" + urlencode({k: v for k, v in {**given, **more}.items() if v})

    return visit.page(
        "cluster.html",
        events=events,
        shown=_shown(visit, cluster, await services.clusters.revision(visit.caller)),
        text=text,
        state=state,
        states=[
            Tab(label, _count(cluster, kind), query_of(state=kind), kind == state, kind == "failed")
            for kind, label in _STATES.items()
        ],
        records=part_of(
            [each for each in registries if _mentions(each, text)], visit, "records", _PAGE
        ),
        troubles=part_of(_troubles(registries, text), visit, "problems", _PAGE),
        untold=sum(max(0, each.failed - len(each.problems)) for each in registries),
        query_of=query_of,
    )


async def ask_forget(visit: Visit) -> Response:
    cluster = await visit.services.clusters.get(visit.caller, visit.path("cluster"))
    return _forget_page(visit, cluster)


async def forget(visit: Visit) -> Response:
    cluster = await visit.services.clusters.get(visit.caller, visit.path("cluster"))
    typed = visit.form.get("name", "").strip()
    if typed != cluster.id:
        problem = f"This is not the cluster's name. Type {cluster.id} to forget it."
        return _forget_page(visit, cluster, typed, problem, 400)
    await visit.services.clusters.forget(visit.caller, cluster.id)
    return visit.go(f"{visit.home}/clusters", "cluster-forgotten")


async def holders_of(visit: Visit, record_id: str) -> list[Holder]:
    """The clusters in which the record has, or should have, pull secrets, by name."""
    return [
        Holder(cluster.id, visit.services.clusters.connected(cluster), registry)
        for cluster in await visit.services.clusters.list(visit.caller)
        for registry in cluster.report.registries
        if registry.id == record_id and (registry.secrets or registry.pending or registry.failed)
    ]


def _forget_page(
    visit: Visit,
    cluster: Cluster,
    typed: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return visit.page(
        "forget.html",
        status,
        cluster=cluster,
        connected=visit.services.clusters.connected(cluster),
        typed=typed,
        problem=problem,
    )


def _shown(visit: Visit, cluster: Cluster, newest: int) -> Shown:
    registries = cluster.report.registries
    return Shown(
        cluster,
        visit.services.clusters.connected(cluster),
        max(0, newest - cluster.report.revision),
        sum(each.secrets for each in registries),
        sum(each.pending for each in registries),
        sum(each.failed for each in registries),
    )


def _takes(registry: RegistryReport, state: str) -> bool:
    return not state or getattr(registry, state) > 0


def _count(cluster: Cluster, state: str) -> int:
    return sum(_takes(each, state) for each in cluster.report.registries)


def _mentions(registry: RegistryReport, text: str) -> bool:
    """Whether the record, or a namespace that is told of it, has ``text`` in its name."""
    names = (registry.id, *registry.held_in, *(each.namespace for each in registry.problems))
    return any(text.lower() in name for name in names)


def _troubles(registries: Sequence[RegistryReport], text: str) -> list[Trouble]:
    wanted = text.lower()
    return [
        Trouble(registry.id, problem)
        for registry in registries
        for problem in registry.problems
        if wanted in registry.id or wanted in problem.namespace
    ]


def _server(visit: Visit) -> str:
    """This server's own address, to be copied into a command."""
    host = visit.request.headers.get("host", "")
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]{1,255}", host):
        host = "pullpass.example.com"
    return f"{'https' if is_secure(visit.request) else 'http'}://{host}"


_CLUSTERS = "/orgs/{org}/clusters"
_CLUSTER = f"{_CLUSTERS}/{{cluster}}"

_FORGET = (Action.READ_CLUSTERS, Action.FORGET_CLUSTER)

PAGES = (
    Page("GET", _CLUSTERS, Action.READ_CLUSTERS, list_clusters, "webClusters"),
    Page("GET", _CLUSTER, Action.READ_CLUSTERS, show_cluster, "webCluster"),
    Page("GET", f"{_CLUSTER}/forget", _FORGET, ask_forget, "webForget"),
    Page("POST", f"{_CLUSTER}/forget", _FORGET, forget, "webForget"),
)
