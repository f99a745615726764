"""The webhook's composition: made, connected and stopped here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from lightkube import AsyncClient as KubeClient
from prometheus_client import CollectorRegistry

from pullpass.agent.kube import Selector
from pullpass.agent.records import Records
from pullpass.agent.webhook import certificates, https
from pullpass.agent.webhook.admission import Admission, AdmissionMetrics
from pullpass.agent.webhook.certificates import Certificate
from pullpass.agent.webhook.keeper import Keeper
from pullpass.client.aio import AsyncClient

_log = structlog.get_logger("pullpass.agent.webhook")


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """``secret`` holds the certificate, which is valid for ``days``; ``configuration`` is the name
    of the MutatingWebhookConfiguration.
    """

    listen: tuple[str, int]
    configuration: str = "pullpass-agent"
    secret: str = "pullpass-agent-webhook"  # noqa: S105 - the name of one
    days: float = 90.0


class Webhook:
    """Every replica serves it; the one that leads keeps the certificate.

    Raises:
        OSError: the address cannot be used.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        client: KubeClient,
        connect: Callable[[], AsyncClient],
        *,
        cluster: str,
        namespace: str,
        selector: Selector,
        excluded: Iterable[str],
        registry: CollectorRegistry,
    ) -> None:
        self._metrics = AdmissionMetrics(registry)
        self._admission = Admission(
            client,
            connect,
            cluster=cluster,
            selector=selector,
            excluded=excluded,
            metrics=self._metrics,
        )
        self._keeper = Keeper(
            client,
            namespace=namespace,
            secret=settings.secret,
            configuration=settings.configuration,
            life=timedelta(days=settings.days),
            served=self._serve,
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._has_certificate = False
        self._listening = https.listen(*settings.listen)

    async def run(self) -> None:
        """Serve until cancelled."""
        await asyncio.gather(
            *(*self._admission.runs(), *self._keeper.runs()),
            https.serve(self._listening, self._context, self._admission.answer),
        )

    async def keep(self) -> None:
        """While this replica leads: keep the certificate."""
        await self._keeper.keep()

    @property
    def records(self) -> Records:
        """Followed as long as it runs; for others to use too, and to close at last."""
        return self._admission.records

    @property
    def missing(self) -> str:
        """Why it cannot answer as it should; empty where it can."""
        if not self._has_certificate:
            return "the webhook has no certificate: is there a MutatingWebhookConfiguration?"
        return self._admission.missing

    def _serve(self, certificate: Certificate) -> None:
        try:
            certificates.load(self._context, certificate)
        except OSError as error:
            _log.error("the webhook cannot serve its certificate", error=str(error))
            return
        self._has_certificate = True
        self._metrics.serves_until(certificate.expires.timestamp())
