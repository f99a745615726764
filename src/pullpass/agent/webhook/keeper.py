"""The certificate's places in the cluster: a secret that all replicas serve from, and the
``caBundle`` of the configuration, by which the API servers know it.

A new authority is trusted before a certificate of its is served, and the one before it until the
next: https://github.com/open-policy-agent/cert-controller/issues/13 tells what happens else.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ipaddress
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from lightkube import AsyncClient
from lightkube.core.resource import GlobalResource
from lightkube.resources import admissionregistration_v1
from lightkube.types import PatchType

from pullpass.agent.kube import KubeError, said
from pullpass.agent.shapes import Reference, Secret, Shape, Watched
from pullpass.agent.watch import Informer
from pullpass.agent.webhook import certificates
from pullpass.agent.webhook.certificates import Certificate

# In which an API server hears of a changed configuration.
_SETTLE_SECONDS = 10.0
_AGAIN_SECONDS, _LONGEST_SECONDS = 1.0, 3600.0

_log = structlog.get_logger("pullpass.agent.webhook")


class ServiceReference(Reference):
    namespace: str | None = None


class ClientConfig(Shape):
    url: str | None = None
    service: ServiceReference | None = None
    ca_bundle: str | None = None

    @property
    def host(self) -> str | None:
        """The name that an API server expects in the certificate."""
        if self.service is not None:
            return f"{self.service.name}.{self.service.namespace}.svc"
        name = urlsplit(self.url or "").hostname
        try:
            # As certificates have it: an address may be written in more than one way.
            return name and str(ipaddress.ip_address(name))
        except ValueError:
            return name


class WebhookEntry(Shape):
    name: str | None = None
    client_config: ClientConfig | None = None


class MutatingWebhookConfiguration(GlobalResource, Watched, kw_only=True):
    _api_info = admissionregistration_v1.MutatingWebhookConfiguration._api_info
    webhooks: list[WebhookEntry] | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The names of its webhooks, the hosts that they are at, and the authorities they trust."""

    webhooks: tuple[str, ...]
    hosts: frozenset[str]
    trusted: tuple[bytes, ...]


class Keeper:
    """``served`` is called with each certificate that is there to be served."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        namespace: str,
        secret: str,
        configuration: str,
        life: timedelta,
        served: Callable[[Certificate], None],
    ) -> None:
        self._client = client
        self._secret = (namespace, secret)
        self._configuration = ("", configuration)
        self._life = life
        self._served = served
        self._changed = asyncio.Event()
        self._told_missing = False
        self._certificates: Informer[Certificate] = Informer(
            client,
            Secret,
            _certificate,
            lambda _: self._certificate_changed(),
            namespace=namespace,
            fields={"metadata.name": secret},
        )
        self._configurations: Informer[Configuration] = Informer(
            client,
            MutatingWebhookConfiguration,
            _configuration,
            lambda _: self._changed.set(),
            namespace=None,
            fields={"metadata.name": configuration},
        )

    def runs(self) -> list[Coroutine[Any, Any, None]]:
        """The work of every replica: to serve what is kept."""
        return [self._certificates.run(), self._configurations.run()]

    async def keep(self) -> None:
        """The work of the one that leads: make, renew and publish the certificate."""
        await self._certificates.synced.wait()
        await self._configurations.synced.wait()
        while True:
            self._changed.clear()
            try:
                seconds = await self._step()
            except (KubeError, ValueError) as error:
                # A name in the configuration may be none that a certificate can have.
                _log.warning("the webhook's certificate is not kept", error=said(error))
                seconds = _AGAIN_SECONDS * 10
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            # With one who changes it back, this is no race.
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _step(self) -> float:
        """One look at all; seconds until the next one is due."""
        configuration = self._configurations.items.get(self._configuration)
        if configuration is None or not configuration.hosts:
            if not self._told_missing:
                _log.warning(
                    "there is no such MutatingWebhookConfiguration: nobody asks the webhook",
                    name=self._configuration[1],
                )
            self._told_missing = True
            return _LONGEST_SECONDS
        self._told_missing = False
        now = datetime.now(UTC)
        found = self._certificates.items.get(self._secret)
        if found is None or now >= found.due or not configuration.hosts <= found.names:
            found = await self._renew(configuration, found, now)
        elif set(configuration.trusted) != {found.trusted}:
            await self._publish(configuration, found.trusted)
        return max(_AGAIN_SECONDS, min(_LONGEST_SECONDS, (found.due - now).total_seconds()))

    async def _renew(
        self, configuration: Configuration, found: Certificate | None, now: datetime
    ) -> Certificate:
        trusted = found.trusted if found is not None else b"".join(configuration.trusted[:1])
        made = certificates.issue(configuration.hosts, self._life, now, trusted)
        await self._publish(configuration, made.trusted)
        if trusted:
            await asyncio.sleep(min(_SETTLE_SECONDS, self._life.total_seconds() / 20))
        namespace, name = self._secret
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": "pullpass"},
            },
            "type": "kubernetes.io/tls",
            "data": {
                "ca.crt": _encoded(made.trusted),
                "tls.crt": _encoded(made.certificate),
                "tls.key": _encoded(made.key.reveal().encode()),
            },
        }
        answer = await self._client.patch(
            Secret, name, secret, namespace=namespace, patch_type=PatchType.APPLY, force=True
        )
        self._certificates.put(answer)
        _log.info("the webhook has a new certificate", names=sorted(made.names), until=made.expires)
        return made

    async def _publish(self, configuration: Configuration, trusted: bytes) -> None:
        bundle = {"caBundle": _encoded(trusted)}
        _, name = self._configuration
        applied = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            # The other fields are those of who has made it.
            "webhooks": [{"name": each, "clientConfig": bundle} for each in configuration.webhooks],
        }
        answer = await self._client.patch(
            MutatingWebhookConfiguration,
            name,
            applied,
            patch_type=PatchType.APPLY,
            force=True,
        )
        self._configurations.put(answer)

    def _certificate_changed(self) -> None:
        self._changed.set()
        # One that goes away is served on, until there is another.
        if found := self._certificates.items.get(self._secret):
            self._served(found)


def _certificate(found: Secret) -> Certificate | None:
    data = found.data or {}
    try:
        parts = [base64.b64decode(data[key]) for key in ("ca.crt", "tls.crt", "tls.key")]
    except (KeyError, binascii.Error):
        return None
    return certificates.read(*parts)


def _configuration(found: MutatingWebhookConfiguration) -> Configuration:
    entries = [
        (each.name, each.client_config)
        for each in found.webhooks or ()
        if each.name and each.client_config
    ]
    return Configuration(
        tuple(name for name, _ in entries),
        frozenset(client.host for _, client in entries if client.host),
        tuple(base64.b64decode(client.ca_bundle or "") for _, client in entries),
    )


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
