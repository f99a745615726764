"""The agent's composition: everything is made and connected here, and stops from here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import structlog
from lightkube import AsyncClient as KubeClient
from prometheus_client import generate_latest

from pullpass.agent import health, kube
from pullpass.agent.apply import Applier
from pullpass.agent.cluster import Cluster, Sources
from pullpass.agent.controller import Controller
from pullpass.agent.credentials import Credentials, Trouble
from pullpass.agent.events import Events
from pullpass.agent.lease import Leadership
from pullpass.agent.plan import ApplySecret, Attach, DeleteSecret, SetPullSecrets, Write
from pullpass.agent.records import Records
from pullpass.agent.report import CountingWriter, Metrics, Reporter
from pullpass.agent.webhook.main import Webhook, WebhookSettings
from pullpass.client.aio import AsyncClient

Mode = Literal["needed", "all"]

_log = structlog.get_logger("pullpass.agent")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """``cluster`` is the name that Pullpass knows it by. Times are in seconds."""

    cluster: str
    mode: Mode = "needed"
    attach: Attach = "default"
    namespace_selector: str = ""
    exclude: tuple[str, ...] = ("kube-*",)
    grace: float = 600.0
    context: str | None = None
    rate: float = 50.0
    burst: int = 100
    lease_namespace: str | None = None
    lease_name: str = "pullpass-agent"
    lease_seconds: int = 15
    listen: tuple[str, int] | None = None
    webhook: WebhookSettings | None = None
    once: bool = False
    dry_run: bool = False


def run(settings: AgentSettings, connect: Callable[[], AsyncClient]) -> bool:
    """Look after the cluster until SIGTERM or SIGINT; with ``once``, until all is as it should be.

    ``connect`` makes a client of Pullpass, with the token as it is now. Returns whether nothing
    failed.

    Raises:
        SettingsError: a setting cannot be used.
        ClientError: with ``once``, Pullpass does not answer.
        OSError: the address to listen on cannot be used.
    """
    return asyncio.run(_run(settings, connect))


async def _run(settings: AgentSettings, connect: Callable[[], AsyncClient]) -> bool:
    metrics = Metrics()
    selector = kube.label_selector(settings.namespace_selector)
    config = kube.configuration(settings.context)
    limit = kube.RateLimit(settings.rate, settings.burst)
    async with contextlib.AsyncExitStack() as stack:
        client = kube.connect(config, limit, metrics.requested)
        stack.push_async_callback(client.close)
        live = partial(_Life, settings, connect, metrics, client, selector)
        if settings.once or settings.dry_run:
            async with contextlib.aclosing(live()) as life:
                return await _once(life, connect, reports=not settings.dry_run)
        own_namespace = settings.lease_namespace or config.namespace
        webhook = None
        if settings.webhook is not None:
            webhook = Webhook(
                settings.webhook,
                client,
                connect,
                cluster=settings.cluster,
                namespace=own_namespace,
                selector=selector,
                excluded=settings.exclude,
                registry=metrics.registry,
            )
            stack.push_async_callback(webhook.records.close)
            live = partial(live, webhook.records)
        agent = Agent(live, metrics, webhook)
        leadership = Leadership(
            client,
            own_namespace,
            settings.lease_name,
            f"{socket.gethostname()}_{os.getpid()}_{os.urandom(4).hex()}",
            settings.lease_seconds,
        )
        if settings.listen is not None:
            server = await health.serve(*settings.listen, agent.pages(leadership))
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
        work = asyncio.ensure_future(
            asyncio.gather(leadership.run(agent.work), *([webhook.run()] if webhook else []))
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        _log.info("started", cluster=settings.cluster, mode=settings.mode)
        with contextlib.suppress(asyncio.CancelledError):
            await work
        _log.info("stopped")
        return True


async def _once(life: _Life, connect: Callable[[], AsyncClient], *, reports: bool) -> bool:
    """Let ``life`` do what there is to do, and tell Pullpass of it where it ``reports``; whether
    nothing failed.

    Raises:
        ClientError: Pullpass does not answer, or refuses.
    """
    # A client of its own, so that what is wrong with the token or the address is an error.
    async with await asyncio.to_thread(connect) as client:
        await client.changes()
    tasks = [asyncio.create_task(each) for each in life.working()]
    settled = asyncio.create_task(life.controller.settled())
    await asyncio.wait({settled, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    settled.cancel()
    if reports:
        await life.reporter.report()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return not any(state.troubles for state in life.controller.states.values())


class Agent:
    """One life as the leader after the other: what is known of the cluster is made anew each
    time, for others may have worked in between.
    """

    def __init__(
        self, live: Callable[[], _Life], metrics: Metrics, webhook: Webhook | None
    ) -> None:
        self._live = live
        self._metrics = metrics
        self._webhook = webhook
        self._life: _Life | None = None

    async def work(self) -> None:
        """Keep the cluster right until cancelled."""
        try:
            async with contextlib.aclosing(self._live()) as self._life:
                works = [*self._life.working(), self._life.reporter.run()]
                if self._webhook is not None:
                    works.append(self._webhook.keep())
                await asyncio.gather(*(asyncio.create_task(each) for each in works))
        finally:
            self._life = None

    def pages(self, leadership: Leadership) -> dict[str, health.Page]:
        def live() -> tuple[int, str, bytes]:
            return 200, "text/plain", b"ok\n"

        def ready() -> tuple[int, str, bytes]:
            if self._webhook is not None and (missing := self._webhook.missing):
                return 503, "text/plain", f"{missing}\n".encode()
            # A replica that waits for the lease is as ready as it can be.
            if not leadership.leads:
                return 200, "text/plain", b"waiting for the lease\n"
            life = self._life
            if life is None or not life.cluster.synced:
                return 503, "text/plain", b"the cluster is being listed\n"
            if not life.records.loaded.is_set():
                return 503, "text/plain", b"Pullpass has not answered yet\n"
            return 200, "text/plain", b"leading\n"

        def numbers() -> tuple[int, str, bytes]:
            if self._life is not None:
                self._metrics.show(
                    leads=leadership.leads,
                    controller=self._life.controller,
                    records=self._life.records,
                )
            kind = "text/plain; version=0.0.4; charset=utf-8"
            return 200, kind, generate_latest(self._metrics.registry)

        return {"/health/live": live, "/health/ready": ready, "/metrics": numbers}


class _Life:
    """The parts of the agent, connected. Without ``records``, which others follow, there are its
    own.
    """

    def __init__(
        self,
        settings: AgentSettings,
        connect: Callable[[], AsyncClient],
        metrics: Metrics,
        client: KubeClient,
        selector: kube.Selector,
        records: Records | None = None,
    ) -> None:
        self.cluster = Cluster(
            client,
            self._namespace_changed,
            selector=selector,
            excluded=settings.exclude,
            with_images=settings.mode == "needed",
        )
        self._follows = records is None
        self.records = records or Records(connect, settings.cluster)
        self.credentials = Credentials(
            self.records, settings.cluster, self._record_changed, self._is_needed
        )
        self.sources = Sources(client, self._record_changed, settings.exclude)
        self.events = Events(client)
        applier = Applier(client, self.cluster)
        self.controller = Controller(
            self.cluster,
            self.records,
            self.credentials,
            self.sources,
            _Printer() if settings.dry_run else CountingWriter(applier, metrics),
            everywhere=settings.mode == "all",
            attach=settings.attach,
            grace=settings.grace,
            troubled=_quiet if settings.dry_run else self.events.tell,
        )
        self.reporter = Reporter(self.controller, self.records, settings.cluster, settings.mode)

    def working(self) -> list[Coroutine[Any, Any, None]]:
        """What keeps the cluster right, until cancelled."""
        following = [self.records.run()] if self._follows else []
        return [*self.cluster.runs(), *following, self.controller.run()]

    async def aclose(self) -> None:
        await self.events.close()
        await self.sources.close()
        await self.credentials.close()
        if self._follows:
            await self.records.close()

    def _namespace_changed(self, namespace: str) -> None:
        self.controller.mark(namespace)

    def _record_changed(self, record_id: str | None) -> None:
        if record_id is None:
            self.sources.follow(self.records.sources())
        self.controller.mark_record(record_id)

    def _is_needed(self, record_id: str) -> bool:
        return self.controller.needs(record_id)


class _Printer:
    """Says what would be written."""

    async def write(self, namespace: str, write: Write) -> None:
        match write:
            case ApplySecret():
                verb = "change" if write.exists else "create"
                text = f"{verb} secret {namespace}/{write.name}"
            case SetPullSecrets():
                names = ", ".join(write.pull_secrets) or "none"
                text = f"set imagePullSecrets of {namespace}/{write.account}: {names}"
            case DeleteSecret():
                text = f"delete secret {namespace}/{write.name}"
        print(text)  # noqa: T201 - this is what was asked for


def _quiet(namespace: str, record_id: str, trouble: Trouble) -> None:
    """A dry run leaves no event."""
