"""What agents ask and report, and what can be seen of their clusters."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from starlette.responses import Response

from pullpass.api.call import Call, answer, bearer_token
from pullpass.api.models.clusters import (
    ChangesResponse,
    ClusterProblem,
    ClusterRegistry,
    ClusterReportRequest,
    ClusterResponse,
    ClusterSummaryResponse,
)
from pullpass.api.operation import Operation, Query
from pullpass.broker.cluster_reports import MOST
from pullpass.domain import access, timestamp
from pullpass.domain.access import Action
from pullpass.domain.cluster import Cluster

# Below what proxies give an idle connection.
_LONGEST_WAIT = 55


async def get_changes(call: Call) -> Response:
    since = call.whole_query("since", MOST)
    wait = call.whole_query("wait", _LONGEST_WAIT)
    found = await call.services.clusters.changes(call.caller, since, wait or 0)
    if found is None:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    if wait:
        # Meanwhile the token may have been revoked, or its user's role taken away.
        token = bearer_token(call.request)
        principal = await call.services.sessions.authenticate(token, call.principal.origin)
        access.require(principal, call.caller.organization, Action.READ_RECORDS)
    registries = UNSET if found.registries is None else sorted(found.registries)
    return answer(ChangesResponse(found.revision, registries))


async def list_clusters(call: Call) -> Response:
    found = await call.services.clusters.list(call.caller)
    return answer([ClusterSummaryResponse(**_summary(call, cluster)) for cluster in found])


async def get_cluster(call: Call) -> Response:
    return _cluster_answer(
        call, await call.services.clusters.get(call.caller, call.path("cluster"))
    )


async def put_cluster_status(call: Call) -> Response:
    name = call.path("cluster")
    return _cluster_answer(
        call, await call.services.clusters.report(call.caller, name, await call.body())
    )


async def delete_cluster(call: Call) -> Response:
    await call.services.clusters.forget(call.caller, call.path("cluster"))
    return Response(status_code=204)


def _cluster_answer(call: Call, cluster: Cluster) -> Response:
    registries = [
        ClusterRegistry(
            each.id,
            each.secrets,
            each.pending,
            each.failed,
            [ClusterProblem(p.namespace, p.code, p.message) for p in each.problems] or UNSET,
            list(each.held_in) or UNSET,
        )
        for each in cluster.report.registries
    ]
    return answer(ClusterResponse(**_summary(call, cluster), registries=registries))


def _summary(call: Call, cluster: Cluster) -> dict[str, Any]:
    report = cluster.report
    return {
        "id": cluster.id,
        "connected": call.services.clusters.connected(cluster),
        "reported_at": timestamp.render(cluster.reported_at),
        "version": report.version,
        "mode": report.mode,
        "revision": report.revision,
        "namespaces": report.namespaces,
        "secrets": sum(each.secrets for each in report.registries),
        "pending": sum(each.pending for each in report.registries),
        "failed": sum(each.failed for each in report.registries),
    }


_ERRORS = (400, 401, 403, 404)

OPERATIONS = (
    Operation(
        "getChanges",
        "GET",
        "/orgs/{orgId}/changes",
        Action.READ_RECORDS,
        get_changes,
        "Cluster",
        "Which records changed since a revision; waits for a change where asked to.",
        answer=ChangesResponse,
        errors=_ERRORS,
        query=(
            Query(
                "since",
                "The revision of the last answer. Without it, the newest is told at once.",
                {"type": "integer", "minimum": 0, "maximum": MOST},
            ),
            Query(
                "wait",
                "How many seconds to wait for a change.",
                {"type": "integer", "minimum": 0, "maximum": _LONGEST_WAIT, "default": 0},
            ),
        ),
        nothing="Nothing has changed.",
    ),
    Operation(
        "listClusters",
        "GET",
        "/orgs/{orgId}/clusters",
        Action.READ_CLUSTERS,
        list_clusters,
        "Cluster",
        "The clusters whose agents have reported.",
        answer=list[ClusterSummaryResponse],
        errors=_ERRORS,
    ),
    Operation(
        "getCluster",
        "GET",
        "/orgs/{orgId}/clusters/{cluster}",
        Action.READ_CLUSTERS,
        get_cluster,
        "Cluster",
        "A cluster: what its agent did for each record, what is pending, what failed and why.",
        answer=ClusterResponse,
        errors=_ERRORS,
    ),
    Operation(
        "deleteCluster",
        "DELETE",
        "/orgs/{orgId}/clusters/{cluster}",
        Action.FORGET_CLUSTER,
        delete_cluster,
        "Cluster",
        "Forgets a cluster that is no more. One whose agent runs is back with its next report.",
        success=204,
        errors=_ERRORS,
    ),
    Operation(
        "putClusterStatus",
        "PUT",
        "/orgs/{orgId}/clusters/{cluster}/status",
        Action.REPORT_CLUSTER,
        put_cluster_status,
        "Cluster",
        "The report of a cluster's agent; a `cluster` token can report for its own alone.",
        answer=ClusterResponse,
        body=ClusterReportRequest,
        errors=(*_ERRORS, 413),
    ),
)
