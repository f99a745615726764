"""Clusters, their agents' reports, and what an agent waits for: values and operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pullpass.client import wire
from pullpass.client.fields import Fields, decode, each
from pullpass.client.wire import Operation, Response, path


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a secret is not as it should be; ``namespace`` is empty where it is about all."""

    namespace: str
    code: str
    message: str

    @classmethod
    def read(cls, fields: Fields) -> Problem:
        return cls(fields.text("namespace"), fields.text("code"), fields.text("message"))


@dataclass(frozen=True, slots=True)
class RegistryReport:
    """A record in a cluster: how many secrets are right, still to be written, or failed.

    ``held_in`` names the first of the namespaces where its secret is right.
    """

    id: str
    secrets: int
    pending: int
    failed: int
    problems: tuple[Problem, ...] = ()
    held_in: tuple[str, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> RegistryReport:
        return cls(
            fields.text("id"),
            int(fields.number("secrets")),
            int(fields.number("pending")),
            int(fields.number("failed")),
            fields.each("problems", Problem.read),
            fields.texts("held_in"),
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster's agent said last; ``registries`` is there where one cluster was asked for.

    ``connected``: it has reported lately. ``revision`` is that of the records as it knows them.
    """

    id: str
    connected: bool
    reported_at: datetime | None
    version: str
    mode: str
    revision: int
    namespaces: int
    secrets: int
    pending: int
    failed: int
    registries: tuple[RegistryReport, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Cluster:
        return cls(
            id=fields.text("id"),
            connected=fields.truth("connected"),
            reported_at=fields.moment("reported_at"),
            version=fields.text("version"),
            mode=fields.text("mode"),
            revision=int(fields.number("revision")),
            namespaces=int(fields.number("namespaces")),
            secrets=int(fields.number("secrets")),
            pending=int(fields.number("pending")),
            failed=int(fields.number("failed")),
            registries=fields.each("registries", RegistryReport.read),
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """``registries`` are the ids of the records that changed up to ``revision``; None: all may
    have.
    """

    revision: int
    registries: frozenset[str] | None

    @classmethod
    def read(cls, fields: Fields) -> Changes:
        known = "registries" in fields
        return cls(
            int(fields.number("revision")), frozenset(fields.texts("registries")) if known else None
        )


def list_clusters(organization: str) -> Operation[tuple[Cluster, ...]]:
    """The clusters whose agents have reported, without their records."""
    return wire.get(
        _clusters(organization), {}, lambda answer: each(decode(answer.body), Cluster.read)
    )


def get_cluster(organization: str, cluster: str) -> Operation[Cluster]:
    """One cluster, with its records."""
    return wire.get(_clusters(organization, cluster), {}, wire.one(Cluster.read))


def forget_cluster(organization: str, cluster: str) -> Operation[None]:
    """Drop the last report of a cluster that is no more."""
    return wire.delete(_clusters(organization, cluster))


def report_cluster(
    organization: str,
    cluster: str,
    *,
    version: str,
    mode: str,
    revision: int,
    namespaces: int,
    registries: Iterable[RegistryReport] = (),
) -> Operation[Cluster]:
    """Say how a cluster is; the next report takes the place of this one."""
    body = {
        "version": version,
        "mode": mode,
        "revision": revision,
        "namespaces": namespaces,
        "registries": [_report(item) for item in registries],
    }
    target = _clusters(organization, cluster, "status")
    return wire.send("PUT", target, body, wire.one(Cluster.read), repeatable=True)


def changes(
    organization: str, since: int | None = None, *, wait: int = 0
) -> Operation[Changes | None]:
    """What happened to the records after revision ``since``; without one, the newest revision.

    Where nothing did, the server waits for up to ``wait`` (0 to 55) seconds, and then it is None.
    """
    query = {
        "since": None if since is None else str(since),
        "wait": str(wait) if wait else None,
    }
    return wire.get(path("orgs", organization, "changes"), query, _changes)


def _clusters(organization: str, *rest: str) -> str:
    return path("orgs", organization, "clusters", *rest)


def _changes(response: Response) -> Changes | None:
    return None if response.status == 204 else Changes.read(Fields(decode(response.body)))


def _report(item: RegistryReport) -> dict[str, object]:
    problems = [
        {"namespace": each.namespace, "code": each.code, "message": each.message}
        for each in item.problems
    ]
    return {
        "id": item.id,
        "secrets": item.secrets,
        "pending": item.pending,
        "failed": item.failed,
        "problems": problems,
        "held_in": list(item.held_in),
    }
