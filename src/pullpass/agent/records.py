"""What Pullpass says: the records, which of them an image gets, and their secrets.

One request waits for changes. The credential of a record is asked for when a namespace needs it,
again when the record has changed, and ahead of its expiry. While Pullpass does not answer, all
stays as it was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from pullpass.agent.content import Content, of_credential
from pullpass.client.aio import AsyncClient
from pullpass.client.clusters import Changes
from pullpass.client.errors import ApiError, ClientError, Unauthenticated
from pullpass.client.models import Registry, SecretReference
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import InvalidImageReference, InvalidRegistryPrefix
from pullpass.domain.image import ImageReference
from pullpass.domain.matching import MatchIndex
from pullpass.domain.prefix import RegistryPrefix

SECRET_REF = "secret_ref"  # noqa: S105 - the name of a type
PUBLIC = "public"
_ANY_CLUSTER = "*"
_WAIT_SECONDS = 50
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 15.0
_LONGEST_FAILURE_DELAY = 300.0
# Renewed when a third of its life is left, as it was when it was handed out. Timers stand still
# while a machine is suspended, and know of no clock that is set: so the clock is looked at.
_RENEW_AT = 2 / 3
_LOOK_SECONDS = 10.0
_AT_ONCE = 8
_MOST_MATCHES = 100_000

_log = structlog.get_logger("pullpass.agent.records")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a record, or a namespace, is not served."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A record that gives a secret in this cluster; ``source`` is what is copied, if it is."""

    prefix: RegistryPrefix
    source: SecretReference | None


class Records:
    """``changed`` is called with the id of a record whose secret is another one now, or with None
    where the set of records is. ``is_needed`` says whether a credential is worth renewing, which
    happens no sooner than ``soonest_renewal`` seconds after the last time.
    """

    def __init__(
        self,
        connect: Callable[[], AsyncClient],
        cluster: str,
        changed: Callable[[str | None], None],
        is_needed: Callable[[str], bool],
        soonest_renewal: float = 30.0,
    ) -> None:
        self.contents: dict[str, Content] = {}
        self.troubles: dict[str, Trouble] = {}
        self.loaded = asyncio.Event()
        self.revision = 0
        self.reachable = False
        self._connect = connect
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()
        self._cluster = cluster
        self._changed = changed
        self._is_needed = is_needed
        self._soonest_renewal = soonest_renewal
        self._known: dict[str, _Known] = {}
        self._index: MatchIndex[str] = MatchIndex()
        self._matches: dict[str, str | None] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def known(self) -> Mapping[str, object]:
        """The records that give a secret in this cluster, by id."""
        return self._known

    @property
    def busy(self) -> bool:
        return bool(self._fetching)

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

    def want(self, record_id: str) -> None:
        """See to it that the record's secret is there soon; ``changed`` tells when it is."""
        known = self._known.get(record_id)
        if known is None or known.source is not None or record_id in self.contents:
            return
        if record_id not in self._timers:
            self._fetch(record_id)

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
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
        stale = self._known.keys() if changes.registries is None else changes.registries
        for record_id in {*self.contents, *self._timers} - self._known.keys():
            self._forget(record_id)
        for record_id in stale & self.contents.keys():
            if self._known[record_id].source is None:
                self._fetch(record_id)
            else:
                self._forget(record_id)
        for record_id in stale & self._timers.keys() - self.contents.keys():
            self._fetch(record_id)
        self.revision = changes.revision
        self.loaded.set()
        if self._known != before:
            self._changed(None)

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
            self._known[registry.id] = _Known(prefix, source)

    def _match(self, image: str) -> str | None:
        try:
            reference = ImageReference.parse(image)
        except InvalidImageReference:
            return None
        found = self._index.match(reference).winner
        return found if found in self._known else None

    def _forget(self, record_id: str) -> None:
        self.contents.pop(record_id, None)
        self.troubles.pop(record_id, None)
        self._failures.pop(record_id, None)
        if timer := self._timers.pop(record_id, None):
            timer.cancel()

    def _fetch(self, record_id: str) -> None:
        if timer := self._timers.pop(record_id, None):
            timer.cancel()
        # One that is under way may have read what was before the change.
        if task := self._fetching.pop(record_id, None):
            task.cancel()
        task = asyncio.create_task(self._get(record_id))
        self._fetching[record_id] = task
        task.add_done_callback(lambda done: self._fetched(record_id, done))

    def _fetched(self, record_id: str, task: asyncio.Task[None]) -> None:
        if self._fetching.get(record_id) is task:
            del self._fetching[record_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("asking for a credential failed", registry_id=record_id, exc_info=error)
            self._later(record_id, _LONGEST_DELAY)

    async def _get(self, record_id: str) -> None:
        async def ask(client: AsyncClient) -> None:
            found = await client.registries.creds(record_id, cluster=self._cluster)
            if record_id not in self._known:
                return
            if found.username is None or found.password is None:
                self._failed(record_id, Trouble("no_credential", "The record has no credential."))
                return
            credential = Credential(found.username, Secret(found.password.reveal()), found.expires)
            self._take(of_credential(record_id, self._known[record_id].prefix, credential))

        try:
            async with self._slots:
                await self.call(ask)
        except ClientError as error:
            code = error.code if isinstance(error, ApiError) and error.code else "unreachable"
            self._failed(record_id, Trouble(code, error.message))

    def _take(self, content: Content) -> None:
        record_id = content.record_id
        self._failures.pop(record_id, None)
        had_trouble = self.troubles.pop(record_id, None) is not None
        before = self.contents.get(record_id)
        self.contents[record_id] = content
        if content.expires is not None:
            now = datetime.now(UTC)
            soonest = timedelta(seconds=self._soonest_renewal)
            self._renew_at(record_id, now + max(soonest, (content.expires - now) * _RENEW_AT))
        if before is None or before.digest != content.digest or had_trouble:
            self._changed(record_id)

    def _failed(self, record_id: str, trouble: Trouble) -> None:
        known = self.troubles.get(record_id) == trouble
        self.troubles[record_id] = trouble
        failures = self._failures[record_id] = self._failures.get(record_id, 0) + 1
        self._later(record_id, min(_LONGEST_FAILURE_DELAY, 2.0 ** min(failures, 10)))
        if not known:
            _log.warning(
                "no credential", registry_id=record_id, code=trouble.code, error=trouble.message
            )
            self._changed(record_id)

    def _later(self, record_id: str, seconds: float) -> None:
        if timer := self._timers.pop(record_id, None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[record_id] = loop.call_later(seconds, self._renew, record_id)

    def _renew_at(self, record_id: str, moment: datetime) -> None:
        if timer := self._timers.pop(record_id, None):
            timer.cancel()
        left = (moment - datetime.now(UTC)).total_seconds()
        if left <= 0:
            self._renew(record_id)
            return
        loop = asyncio.get_running_loop()
        self._timers[record_id] = loop.call_later(
            min(left, _LOOK_SECONDS), self._renew_at, record_id, moment
        )

    def _renew(self, record_id: str) -> None:
        self._timers.pop(record_id, None)
        if record_id not in self._known:
            return
        if self._is_needed(record_id):
            self._fetch(record_id)
        else:
            self._forget(record_id)
