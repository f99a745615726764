"""What the agent tells Pullpass of its cluster, and Prometheus of itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Total

from pullpass import __version__
from pullpass.agent.apply import WriteFailed, Writer
from pullpass.agent.controller import Controller
from pullpass.agent.credentials import Trouble
from pullpass.agent.plan import Write
from pullpass.agent.records import Records
from pullpass.client.aio import AsyncClient
from pullpass.client.clusters import Problem, RegistryReport
from pullpass.client.errors import ClientError

# The server takes a cluster for connected for three times as long.
_EVERY_SECONDS = 60.0
_SOON_SECONDS = 2.0
_MOST_PROBLEMS = 100
_LONGEST_MESSAGE = 1000
# Of one record, and of all in a report: many records in many namespaces would not fit into one.
_MOST_NAMES = 100
_MOST_NAMES_IN_ALL = 2000

_log = structlog.get_logger("pullpass.agent.report")


def summary(controller: Controller, records: Records) -> list[RegistryReport]:
    """For each record: in how many namespaces its secret is right, pending, or failed; and the
    names of some where it is right.
    """
    right: Counter[str] = Counter()
    pending: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    problems: dict[str, list[Problem]] = {}
    held_in: dict[str, list[str]] = {}
    left = _MOST_NAMES_IN_ALL
    share = min(_MOST_NAMES, max(1, left // max(1, len(records.known))))
    for namespace, state in controller.states.items():
        right.update(state.right)
        for record_id in state.right:
            names = held_in.setdefault(record_id, [])
            if len(names) < share and left:
                names.append(namespace)
                left -= 1
        pending.update(state.needed - state.right - state.troubles.keys())
        for record_id, trouble in state.troubles.items():
            failed[record_id] += 1
            problems.setdefault(record_id, []).append(_problem(namespace, trouble))
    return [
        RegistryReport(
            record_id,
            right[record_id],
            pending[record_id],
            failed[record_id],
            tuple(problems.get(record_id, ())[:_MOST_PROBLEMS]),
            tuple(held_in.get(record_id, ())),
        )
        for record_id in sorted(records.known)
    ]


def _problem(namespace: str, trouble: Trouble) -> Problem:
    return Problem(namespace, trouble.code[:100], trouble.message[:_LONGEST_MESSAGE])


class Reporter:
    """Reports soon after something changed, and every minute that it is there."""

    def __init__(self, controller: Controller, records: Records, cluster: str, mode: str) -> None:
        self._controller = controller
        self._records = records
        self._cluster = cluster
        self._mode = mode

    async def run(self) -> None:
        """Report until cancelled. A report that fails is made again with the next one."""
        await self._records.loaded.wait()
        told: object = None
        at = 0.0
        while True:
            now = summary(self._controller, self._records)
            if now != told or time.monotonic() - at >= _EVERY_SECONDS:
                try:
                    await self.report()
                    told, at = now, time.monotonic()
                except ClientError as error:
                    _log.warning("not reported", error=error.message)
                    await asyncio.sleep(_EVERY_SECONDS / 4)
            await asyncio.sleep(_SOON_SECONDS)

    async def report(self) -> None:
        """Raises ClientError where Pullpass does not take it."""

        async def send(client: AsyncClient) -> None:
            await client.clusters.report(
                self._cluster,
                version=__version__,
                mode=self._mode,
                revision=self._records.revision,
                namespaces=len(self._controller.states),
                registries=summary(self._controller, self._records),
            )

        await self._records.call(send)


class Metrics:
    """The agent's numbers, of a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Total(
            "pullpass_agent_api_requests", "To the API server.", ["verb"], registry=self.registry
        )
        self._writes = Total(
            "pullpass_agent_writes",
            "Secrets applied and deleted, and accounts changed.",
            ["kind", "result"],
            registry=self.registry,
        )
        self._secrets = Gauge(
            "pullpass_agent_secrets",
            "Pull secrets that are right, pending or failed.",
            ["state"],
            registry=self.registry,
        )
        self._leads = Gauge(
            "pullpass_agent_leader", "1 where this replica leads.", registry=self.registry
        )
        self._reachable = Gauge(
            "pullpass_agent_pullpass_reachable",
            "1 where Pullpass answered last.",
            registry=self.registry,
        )

    def requested(self, verb: str) -> None:
        self._requests.labels(verb).inc()

    def wrote(self, kind: str, result: str) -> None:
        self._writes.labels(kind, result).inc()

    def show(self, *, leads: bool, controller: Controller, records: Records) -> None:
        """Set what is measured when it is asked for."""
        self._leads.set(leads)
        self._reachable.set(records.reachable)
        states = controller.states.values()
        right = sum(len(state.right) for state in states)
        failed = sum(len(state.troubles) for state in states)
        needed = sum(len(state.needed | state.troubles.keys()) for state in states)
        self._secrets.labels("right").set(right)
        self._secrets.labels("failed").set(failed)
        self._secrets.labels("pending").set(needed - right - failed)


class CountingWriter:
    def __init__(self, inner: Writer, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def write(self, namespace: str, write: Write) -> None:
        kind = type(write).__name__
        try:
            await self._inner.write(namespace, write)
        except WriteFailed:
            self._metrics.wrote(kind, "failed")
            raise
        self._metrics.wrote(kind, "done")
