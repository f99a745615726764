"""What the server counts, for Prometheus. No label ever holds a secret, nor other
input than the ids of organizations and records.
"""

from __future__ import annotations

import os
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# Set by the supervisor for the workers of one server, so that any of them answers for all
# (https://prometheus.github.io/client_python/multiprocess/).
_MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The counters of one process; ``render`` gives the sum over the server's processes."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pullpass_http_requests_total",
            "Requests answered.",
            ("operation", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "pullpass_http_request_duration_seconds",
            "Time from a request's arrival to its answer's last byte.",
            ("operation",),
            registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        # Finding a counter by its labels takes longer than counting.
        self._by_answer: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._delivered = Counter(
            "pullpass_credentials_delivered_total",
            "Credentials (or secret references) handed out.",
            ("type",),
            registry=self._registry,
        )
        self._refused = Counter(
            "pullpass_errors_total",
            "Requests refused or failed, by error code.",
            ("code",),
            registry=self._registry,
        )

        self._checked = Counter(
            "pullpass_registry_checks_total",
            "Credentials tried at their live registry, by what came of it.",
            ("code",),
            registry=self._registry,
        )

        self._exchanges = Counter(
            "pullpass_exchanges_total",
            "Attempts to get a short-lived credential from an upstream, by what came of them.",
            ("type", "code"),
            registry=self._registry,
        )
        self._served = Counter(
            "pullpass_issued_served_total",
            "Short-lived credentials handed out without asking an upstream.",
            ("type",),
            registry=self._registry,
        )
        self._expiry = Gauge(
            "pullpass_issued_expiry_timestamp_seconds",
            "When the short-lived credential of a record ends, in Unix time.",
            ("organization", "registry_id"),
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )

    def answered(self, operation: str, status: int, seconds: float) -> None:
        found = self._by_answer.get((operation, status))
        if found is None:
            found = self._requests.labels(operation, str(status)), self._seconds.labels(operation)
            self._by_answer[operation, status] = found
        requests, durations = found
        requests.inc()
        durations.observe(seconds)

    def delivered(self, record_type: str) -> None:
        self._delivered.labels(record_type).inc()

    def checked(self, code: str) -> None:
        self._checked.labels(code).inc()

    def issued(self, record_type: str) -> None:
        self._exchanges.labels(record_type, "issued").inc()

    def failed(self, record_type: str, code: str) -> None:
        self._exchanges.labels(record_type, code).inc()

    def served(self, record_type: str) -> None:
        self._served.labels(record_type).inc()

    def expires(self, organization: str, record_id: str, moment: datetime) -> None:
        self._expiry.labels(organization, record_id).set(moment.timestamp())

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def render(self) -> bytes:
        registry = self._registry
        if os.environ.get(_MULTIPROCESS_VARIABLE):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
