"""What went wrong, as Kubernetes events: where the people of a namespace look."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

import structlog
from lightkube import AsyncClient
from lightkube.models.core_v1 import EventSource, ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Event

from pullpass.agent.credentials import Trouble
from pullpass.agent.kube import KubeError, said, status_of
from pullpass.agent.marks import MANAGER

_CONFLICT, _NOT_FOUND = 409, 404
_LONGEST = 1000
_CLOSING_SECONDS = 10.0

_log = structlog.get_logger("pullpass.agent.events")


class Events:
    """Each trouble is one event on its namespace, counted up where it comes again.

    They are sent one after the other: a record that fails in every namespace leaves most of the
    requests that may be made to the secrets.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._waiting: dict[tuple[str, str, str], Trouble] = {}
        self._sending: asyncio.Task[None] | None = None

    def tell(self, namespace: str, record_id: str, trouble: Trouble) -> None:
        self._waiting[namespace, record_id, trouble.code] = trouble
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def close(self) -> None:
        """Return when all have been sent or have failed, or ten seconds are over."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=_CLOSING_SECONDS)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send_all(self) -> None:
        while self._waiting:
            key = next(iter(self._waiting))
            namespace, record_id, _ = key
            await self._send(namespace, record_id, self._waiting.pop(key))

    async def _send(self, namespace: str, record_id: str, trouble: Trouble) -> None:
        now = datetime.now(UTC)
        mark = hashlib.sha256(f"{record_id}\0{trouble.code}".encode()).hexdigest()[:16]
        name = f"pullpass.{mark}"
        about = f"Record {record_id}: " if record_id else ""
        event = Event(
            metadata=ObjectMeta(name=name, namespace=namespace),
            # The API server wants the namespace here too, though a Namespace is in none.
            involvedObject=ObjectReference(
                kind="Namespace", apiVersion="v1", name=namespace, namespace=namespace
            ),
            type="Warning",
            reason="PullSecret" + "".join(part.title() for part in trouble.code.split("_")),
            message=(about + trouble.message)[:_LONGEST],
            source=EventSource(component=MANAGER),
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
        )
        try:
            await self._client.create(event)
        except KubeError as error:
            if status_of(error) == _CONFLICT:
                await self._again(namespace, name, event, now)
            elif status_of(error) != _NOT_FOUND:
                _log.warning("no event", namespace=namespace, error=said(error))

    async def _again(self, namespace: str, name: str, event: Event, now: datetime) -> None:
        try:
            there = await self._client.get(Event, name, namespace=namespace)
            patch = {
                "count": (there.count or 0) + 1,
                "lastTimestamp": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "message": event.message,
            }
            await self._client.patch(Event, name, patch, namespace=namespace)
        except KubeError as error:
            _log.warning("no event", namespace=namespace, error=said(error))
