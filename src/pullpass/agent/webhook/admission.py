"""Answers from memory: which pull secrets a pod that is created needs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from lightkube import AsyncClient as KubeClient
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pullpass.agent.kube import Selector, selects
from pullpass.agent.marks import secret_name
from pullpass.agent.objects import images_of, namespace_served
from pullpass.agent.records import Records
from pullpass.agent.shapes import Namespace
from pullpass.agent.watch import Informer, Key
from pullpass.agent.webhook import review
from pullpass.client.aio import AsyncClient

# The first pod of a namespace may be faster than the watch that tells of the namespace.
_NAMESPACE_SECONDS = 0.5
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class AdmissionMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "pullpass_agent_admissions",
            "Pods that the webhook was asked about, by what it said.",
            ["result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "pullpass_agent_admission_seconds",
            "From the whole request to the answer.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._expiry = Gauge(
            "pullpass_agent_webhook_certificate_expiry_timestamp_seconds",
            "When the certificate that is served ends; 0 where there is none.",
            registry=registry,
        )

    def answered(self, result: str, seconds: float) -> None:
        self._answers.labels(result).inc()
        self._seconds.observe(seconds)

    def serves_until(self, timestamp: float) -> None:
        self._expiry.set(timestamp)


class Admission:
    """What every replica has to know, whether it leads or not: the ``records`` and the namespaces.

    All namespaces are watched, so that one that is not to be served is told from one that is new.
    """

    def __init__(
        self,
        client: KubeClient,
        connect: Callable[[], AsyncClient],
        *,
        cluster: str,
        selector: Selector,
        excluded: Iterable[str],
        metrics: AdmissionMetrics,
    ) -> None:
        served = namespace_served(excluded)

        def project(found: Namespace) -> bool:
            labels = found.metadata.labels or {}
            return served(found) is True and selects(selector, labels)

        self._namespaces: Informer[bool] = Informer(
            client, Namespace, project, self._namespace_changed, namespace=None
        )
        self.records = Records(connect, cluster)
        self._metrics = metrics
        self._awaited: dict[str, asyncio.Event] = {}

    def runs(self) -> list[Coroutine[Any, Any, None]]:
        """The work that keeps this up to date."""
        return [self._namespaces.run(), self.records.run()]

    @property
    def missing(self) -> str:
        """What has to be known first; empty where all is."""
        if not self._namespaces.synced.is_set():
            return "the webhook lists the namespaces"
        return "" if self.records.loaded.is_set() else "the webhook waits for Pullpass"

    async def answer(self, body: bytes) -> bytes:
        """The answer to a review: always yes, and with a patch where secrets are missing.

        Raises:
            Malformed: the body is none, which the API server takes for a yes too.
        """
        began = time.perf_counter()
        result = "malformed"
        try:
            request = review.read(body)
            result, operations = await self._decide(request)
            return review.allowed(request, operations)
        finally:
            self._metrics.answered(result, time.perf_counter() - began)

    async def _decide(self, request: review.Request) -> tuple[str, list[dict[str, Any]]]:
        if not request.creates_pod or not request.namespace:
            return "other", []
        if self.missing:
            return "not_ready", []
        pod = review.read_pod(request)
        needed = self.records.needed(images_of(pod.spec))
        operations = review.patch(pod, map(secret_name, needed))
        if not operations:
            return "unchanged", []
        served = await self._serves(request.namespace)
        if not served:
            return "namespace_unknown" if served is None else "namespace_excluded", []
        return "patched", operations

    async def _serves(self, namespace: str) -> bool | None:
        """None: nothing is known of it, also after a moment."""
        key = ("", namespace)
        if key not in self._namespaces.items:
            event = self._awaited.setdefault(namespace, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_NAMESPACE_SECONDS):
                    await event.wait()
            self._awaited.pop(namespace, None)
        return self._namespaces.items.get(key)

    def _namespace_changed(self, key: Key) -> None:
        if event := self._awaited.get(key[1]):
            event.set()
