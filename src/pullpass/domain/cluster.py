"""What the agent of a cluster reports: which pull secrets are there, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# Agents report every minute where nothing happens; this many may get lost.
CONNECTED_FOR = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a secret is not as it should be. ``namespace`` is empty where it is about all."""

    namespace: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RegistryReport:
    """One record in a cluster: how many secrets are right, still to be written, or failed.

    ``problems`` holds the first of those that failed, ``held_in`` the first of the namespaces
    where the secret is right.
    """

    id: str
    secrets: int
    pending: int
    failed: int
    problems: tuple[Problem, ...] = ()
    held_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """``revision`` is that of the organization's records as the agent knows them."""

    version: str
    mode: str
    revision: int
    namespaces: int
    registries: tuple[RegistryReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    id: str
    reported_at: datetime
    report: ClusterReport

    def connected(self, now: datetime) -> bool:
        """Whether its agent has reported lately."""
        return now - self.reported_at < CONNECTED_FOR
