"""Clusters and their agents' reports on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.api.models.common import Timestamp
from pullpass.broker.cluster_reports import (
    LONGEST_NAME,
    MOST,
    MOST_NAMES,
    MOST_PROBLEMS,
    MOST_REGISTRIES,
)
from pullpass.domain.record import ID_LENGTH, ID_PATTERN

# le beyond what JSON numbers hold exactly is of no use to any client.
Count = Annotated[int, Meta(ge=0, le=MOST)]

NamespaceName = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]


class ChangesResponse(Struct):
    """The newest revision of the records, and the ids of those that changed since the one asked
    for. Without `registries`, all of them may have.
    """

    revision: int
    registries: list[str] | UnsetType = UNSET


class ClusterProblem(Struct, forbid_unknown_fields=True):
    """Why a pull secret is not as it should be; `namespace` is empty where it is about all."""

    namespace: Annotated[str, Meta(max_length=LONGEST_NAME)]
    code: Annotated[str, Meta(max_length=100)]
    message: Annotated[str, Meta(max_length=1000)]


class ClusterRegistry(Struct, forbid_unknown_fields=True):
    """A record in a cluster: how many of its secrets are right, still to be written, or failed.

    `held_in` names the first of the namespaces where the secret is right.
    """

    id: Annotated[str, Meta(pattern=ID_PATTERN, max_length=ID_LENGTH)]
    secrets: Count
    pending: Count
    failed: Count
    problems: Annotated[list[ClusterProblem], Meta(max_length=MOST_PROBLEMS)] | UnsetType | None = (
        UNSET
    )
    held_in: Annotated[list[NamespaceName], Meta(max_length=MOST_NAMES)] | UnsetType | None = UNSET


class ClusterReportRequest(Struct, forbid_unknown_fields=True):
    """What the agent of a cluster says of it; the next report takes its place."""

    version: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
    mode: Literal["needed", "all"]
    revision: Count
    namespaces: Count
    registries: (
        Annotated[list[ClusterRegistry], Meta(max_length=MOST_REGISTRIES)] | UnsetType | None
    ) = UNSET


class ClusterSummaryResponse(Struct):
    """A cluster and the sums over its records.

    `connected`: its agent has reported lately.
    """

    id: str
    connected: bool
    reported_at: Timestamp
    version: str
    mode: str
    revision: int
    namespaces: int
    secrets: int
    pending: int
    failed: int


class ClusterResponse(ClusterSummaryResponse):
    """A cluster, with each of its records."""

    registries: list[ClusterRegistry]
