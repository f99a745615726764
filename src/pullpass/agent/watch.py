"""Informers: a kind of object, listed once and then watched, kept in memory as little as needed.

After https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes:
a list in pages, a watch from its resourceVersion, resumed where it breaks; and after `410 Gone` the
list again, of which only the differences are told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from lightkube import AsyncClient

from pullpass.agent.kube import KubeError, Selector, said, status_of

T = TypeVar("T")
Key = tuple[str, str]

_PAGE = 500
# The server ends a watch after this; one that is silent for longer is dead, whatever the
# connection says.
_WATCH_SECONDS = 300
_SILENCE_SECONDS = _WATCH_SECONDS + 30
_SHORTEST_SECONDS = 1.0
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_GONE = 410

_log = structlog.get_logger("pullpass.agent.watch")


class Informer(Generic[T]):
    """``items`` by namespace and name, each as ``project`` makes it of the object (None: not of
    interest). ``changed`` is called with the key of each that came, went or is different.
    """

    def __init__(
        self,
        client: AsyncClient,
        kind: Any,
        project: Callable[[Any], T | None],
        changed: Callable[[Key], None],
        *,
        namespace: str | None = "*",
        labels: Selector | None = None,
        fields: Selector | None = None,
    ) -> None:
        self.items: dict[Key, T] = {}
        self.synced = asyncio.Event()
        self._client = client
        self._kind = kind
        self._project = project
        self._changed = changed
        self._where: dict[str, Any] = {"labels": labels, "fields": fields}
        if namespace is not None:
            self._where["namespace"] = namespace
        self._versions: dict[Key, int] = {}
        self._version: str | None = None

    def put(self, found: Any) -> None:
        """Take an object that the server has just answered: the watch may tell of it later."""
        key, version = _key(found), _number(found.metadata.resourceVersion)
        if version < self._versions.get(key, 0):
            return
        item = self._project(found)
        if item is None:
            self.drop(key)
            return
        self._versions[key] = version
        if self.items.get(key) != item:
            self.items[key] = item
            self._changed(key)

    def drop(self, key: Key) -> None:
        self._versions.pop(key, None)
        if self.items.pop(key, None) is not None:
            self._changed(key)

    async def run(self) -> None:
        """List and watch until cancelled. Whatever fails is tried again."""
        failures = 0
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
                failures = 0
            except (KubeError, TimeoutError, msgspec.DecodeError) as error:
                if status_of(error) == _GONE:
                    _log.info("listing again", kind=self._kind.__name__)
                    self._version = None
                    continue
                failures += 1
                if failures == 1 or failures % 10 == 0:
                    _log.warning(
                        "cannot watch",
                        kind=self._kind.__name__,
                        error=said(error),
                        attempt=failures,
                    )
                delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 10))
                # Jitter needs no secrecy.
                await asyncio.sleep(delay * (0.5 + random.random() / 2))  # noqa: S311

    async def _list(self) -> None:
        before = set(self.items)
        listing = self._client.list(self._kind, chunk_size=_PAGE, **self._where)
        async for found in listing:
            before.discard(_key(found))
            self.put(found)
        for key in before:
            self.drop(key)
        self._version = listing.resourceVersion
        self.synced.set()

    async def _watch(self) -> None:
        """Until the server ends it."""
        # What is closed here is the connection.
        events: Any = self._client.watch(
            self._kind,
            resource_version=self._version,
            server_timeout=_WATCH_SECONDS,
            **self._where,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(_SILENCE_SECONDS) as deadline:
                async for change, found in events:
                    deadline.reschedule(loop.time() + _SILENCE_SECONDS)
                    self._version = found.metadata.resourceVersion
                    if change == "DELETED":
                        self._forget(found)
                    elif change != "BOOKMARK":
                        self.put(found)
        finally:
            await events.aclose()
        # Where something between ends every watch at once, not as fast as it can.
        await asyncio.sleep(max(0.0, began + _SHORTEST_SECONDS - loop.time()))

    def _forget(self, found: Any) -> None:
        key = _key(found)
        # A secret that was deleted and made again has a newer version than its deletion.
        if _number(found.metadata.resourceVersion) >= self._versions.get(key, 0):
            self.drop(key)


def _key(found: Any) -> Key:
    return found.metadata.namespace or "", found.metadata.name


def _number(version: str | None) -> int:
    """Versions of one kind are numbers that grow:
    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
    """
    return int(version) if version is not None and version.isdecimal() else 0
