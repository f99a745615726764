"""What Pullpass says of the records, and which of them an image gets.

One request waits for changes. While Pullpass does not answer, all stays as it was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass

import structlog

from pullpass.client.aio import AsyncClient
from pullpass.client.clusters import Changes
from pullpass.client.errors import ClientError, Unauthenticated
from pullpass.client.models import Registry, SecretReference
from pullpass.domain.errors import InvalidImageReference, InvalidRegistryPrefix
from pullpass.domain.image import ImageReference
from pullpass.domain.matching import MatchIndex
from pullpass.domain.prefix import RegistryPrefix

SECRET_REF = "secret_ref"  # noqa: S105 - the name of a type
PUBLIC = "public"
_ANY_CLUSTER = "*"
_WAIT_SECONDS = 50
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 15.0
_MOST_MATCHES = 100_000

_log = structlog.get_logger("pullpass.agent.records")

# Called with the ids of the records that may be others now, and whether the set of records is.
Listener = Callable[[Set[str], bool], None]


@dataclass(frozen=True, slots=True)
class Known:
    """A record that gives a secret in this cluster; ``source`` is what is copied, if it is."""

    prefix: RegistryPrefix
    source: SecretReference | None


class Records:
    """The records of the organization; all ``listeners`` are told of their changes.

    ``connect`` makes a client of Pullpass, with the token as it is now.
    """

    def __init__(self, connect: Callable[[], AsyncClient], cluster: str) -> None:
        self.loaded = asyncio.Event()
        self.revision = 0
        self.reachable = False
        self.listeners: list[Listener] = []
        self._connect = connect
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()
        self._cluster = cluster
        self._known: dict[str, Known] = {}
        self._index: MatchIndex[str] = MatchIndex()
        self._matches: dict[str, str | None] = {}

    @property
    def known(self) -> Mapping[str, Known]:
        """The records that give a secret in this cluster, by id."""
        return self._known

    def sources(self) -> dict[str, SecretReference]:
        """The secrets to copy, by the id of their record."""
        return {
            record_id: known.source
            for record_id, known in self._known.items()
            if known.source is not None
        }

    def match(self, image: str) -> str | None:
        """The id of the record that ``image`` gets its secret from, None where there is none."""
        if image not in self._matches:
            # Whoever may create pods can name as many images as they like.
            if len(self._matches) >= _MOST_MATCHES:
                self._matches.clear()
            self._matches[image] = self._match(image)
        return self._matches[image]

    def needed(self, images: Iterable[str]) -> frozenset[str]:
        """The ids of the records that ``images`` get their secrets from."""
        matched = map(self.match, images)
        return frozenset(record_id for record_id in matched if record_id is not None)

    async def call(self, work: Callable[[AsyncClient], Awaitable[object]]) -> None:
        """One call to Pullpass, with a new token where the old one is refused.

        Raises:
            ClientError: it failed.
        """
        client = await self._connected(None)
        try:
            await work(client)
        except Unauthenticated:
            # It may be at its end, or stand in a file that was replaced.
            await work(await self._connected(client))

    async def run(self) -> None:
        """Follow the records until cancelled."""
        failures = 0
        while True:
            try:
                await self.call(self._follow)
            except ClientError as error:
                if self.reachable or not failures:
                    _log.warning("Pullpass does not serve the agent", error=error.message)
                self.reachable = False
                failures += 1
                delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures, 10))
                # Many agents lost it together. Jitter needs no secrecy.
                await asyncio.sleep(delay * (0.5 + random.random() / 2))  # noqa: S311
            else:
                if failures:
                    _log.info("Pullpass serves the agent again")
                self.reachable, failures = True, 0

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connected(self, refused: AsyncClient | None) -> AsyncClient:
        """The client; another one, if it is still the one that was ``refused``."""
        async with self._connecting:
            if self._client is None or self._client is refused:
                # To connect may take a request of its own.
                made = await asyncio.to_thread(self._connect)
                if self._client is not None:
                    await self._client.close()
                self._client = made
            return self._client

    async def _follow(self, client: AsyncClient) -> None:
        if not self.loaded.is_set():
            found = await client.changes()
        elif self.reachable:
            found = await client.changes(self.revision, wait=_WAIT_SECONDS)
        else:
            # After an outage; what is built in may have changed without a revision.
            found = await client.changes(self.revision) or Changes(self.revision, frozenset())
        if found is not None:
            registries = await client.registries.list()
            self._load(registries, found)

    def _load(self, registries: tuple[Registry, ...], changes: Changes) -> None:
        before = self._known
        self._known, self._index = {}, MatchIndex()
        for registry in registries:
            self._add(registry)
        self._matches.clear()
        self.revision = changes.revision
        self.loaded.set()
        stale = self._known.keys() if changes.registries is None else changes.registries
        for listener in list(self.listeners):
            listener(stale, self._known != before)

    def _add(self, registry: Registry) -> None:
        try:
            prefix = RegistryPrefix.parse(registry.registry)
        except InvalidRegistryPrefix as error:
            _log.warning("a record cannot be used", registry_id=registry.id, error=error.message)
            return
        # A public record is matched too: it keeps a less specific one's secret away.
        self._index.put(registry.id, prefix, registry.id)
        source = None
        if registry.type == SECRET_REF:
            secrets = registry.secrets or {}
            source = secrets.get(self._cluster) or secrets.get(_ANY_CLUSTER)
            if source is None:
                return
        if registry.type != PUBLIC:
            self._known[registry.id] = Known(prefix, source)

    def _match(self, image: str) -> str | None:
        try:
            reference = ImageReference.parse(image)
        except InvalidImageReference:
            return None
        found = self._index.match(reference).winner
        return found if found in self._known else None
