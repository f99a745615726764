"""Leader election: of several replicas, one works.

As client-go does it (k8s.io/client-go/tools/leaderelection): a Lease names its holder; who sees it
unchanged for its whole duration, by the own clock, may take it. Writes carry the version that was
read, so that of two who try one succeeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from lightkube import AsyncClient
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from pullpass.agent.kube import KubeError, said, status_of

_NOT_FOUND = 404

_log = structlog.get_logger("pullpass.agent.lease")


class Leadership:
    """``seconds`` is the duration of the Lease; it is renewed at a third of it, tried again where
    that fails, and given up on at two thirds, before anybody else may take it.
    """

    def __init__(
        self, client: AsyncClient, namespace: str, name: str, identity: str, seconds: int
    ) -> None:
        self.leads = False
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._seen: tuple[str | None, float] = (None, 0.0)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` while leading; for ever, or until it returns."""
        while True:
            await self._acquire()
            self.leads = True
            _log.info("leading", identity=self._identity)
            working = asyncio.ensure_future(work())
            keeping = asyncio.create_task(self._keep())
            try:
                await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.leads = False
                for task in (working, keeping):
                    task.cancel()
                await asyncio.gather(working, keeping, return_exceptions=True)
                await self._release()
            if not working.cancelled():
                working.result()
                return
            _log.warning("no longer leading", identity=self._identity)

    async def _acquire(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._seconds / 6)

    async def _keep(self) -> None:
        """Return when it could not be renewed for two thirds of its duration."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._seconds * 2 / 3, self._seconds / 3
        while loop.time() < until:
            await asyncio.sleep(pause)
            began, pause = loop.time(), self._seconds / 10
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    if await self._try():
                        until, pause = began + self._seconds * 2 / 3, self._seconds / 3

    async def _try(self) -> bool:
        """Take or renew the Lease; whether it is held now."""
        try:
            found = await self._get()
            if found is None:
                await self._client.create(self._lease(None))
                return True
            holder = found.spec.holderIdentity if found.spec else None
            if holder and holder != self._identity and not self._is_over(found):
                return False
            await self._client.replace(self._lease(found))
        except KubeError as error:
            if status_of(error) != 409:
                _log.warning("cannot hold the lease", error=said(error))
            return False
        return True

    async def _get(self) -> Lease | None:
        try:
            return await self._client.get(Lease, self._name, namespace=self._namespace)
        except KubeError as error:
            if status_of(error) == _NOT_FOUND:
                return None
            raise

    def _is_over(self, found: Lease) -> bool:
        assert found.metadata is not None
        version, now = found.metadata.resourceVersion, time.monotonic()
        if version != self._seen[0]:
            self._seen = (version, now)
        seconds = (found.spec.leaseDurationSeconds if found.spec else None) or self._seconds
        return now - self._seen[1] > seconds

    def _lease(self, before: Lease | None, holder: str | None = None) -> Lease:
        now = datetime.now(UTC)
        identity = self._identity if holder is None else holder
        spec = before.spec if before is not None and before.spec else LeaseSpec()
        same = spec.holderIdentity == identity
        version = before.metadata.resourceVersion if before and before.metadata else None
        return Lease(
            metadata=ObjectMeta(
                name=self._name, namespace=self._namespace, resourceVersion=version
            ),
            spec=LeaseSpec(
                holderIdentity=identity,
                leaseDurationSeconds=self._seconds,
                acquireTime=spec.acquireTime if same and spec.acquireTime else now,
                renewTime=now,
                leaseTransitions=(spec.leaseTransitions or 0) + (0 if same else 1),
            ),
        )

    async def _release(self) -> None:
        """Let the next one begin at once."""
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(self._seconds / 3):
                found = await self._get()
                if (
                    found is not None
                    and found.spec
                    and (found.spec.holderIdentity == self._identity)
                ):
                    await self._client.replace(self._lease(found, holder=""))
