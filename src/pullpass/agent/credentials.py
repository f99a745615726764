"""The secrets of the records that namespaces need, as Pullpass gives them.

The credential of a record is asked for when a namespace needs it, again when the record has
changed, and ahead of its expiry. While Pullpass does not answer, all stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from pullpass.agent.content import Content, of_credential
from pullpass.agent.records import Records
from pullpass.client.aio import AsyncClient
from pullpass.client.errors import ApiError, ClientError
from pullpass.domain.credential import Credential, Secret

_LONGEST_DELAY = 15.0
_LONGEST_FAILURE_DELAY = 300.0
# Renewed when a third of its life is left, as it was when it was handed out. Timers stand still
# while a machine is suspended, and know of no clock that is set: so the clock is looked at.
_RENEW_AT = 2 / 3
_LOOK_SECONDS = 10.0
_AT_ONCE = 8

_log = structlog.get_logger("pullpass.agent.credentials")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a record, or a namespace, is not served."""

    code: str
    message: str


class Credentials:
    """``changed`` is called with the id of a record whose secret is another one now, or with None
    where the set of records is. ``is_needed`` says whether a credential is worth renewing, which
    happens no sooner than ``soonest_renewal`` seconds after the last time.
    """

    def __init__(
        self,
        records: Records,
        cluster: str,
        changed: Callable[[str | None], None],
        is_needed: Callable[[str], bool],
        soonest_renewal: float = 30.0,
    ) -> None:
        self.contents: dict[str, Content] = {}
        self.troubles: dict[str, Trouble] = {}
        self._records = records
        self._cluster = cluster
        self._changed = changed
        self._is_needed = is_needed
        self._soonest_renewal = soonest_renewal
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        records.listeners.append(self._follow)

    @property
    def busy(self) -> bool:
        return bool(self._fetching)

    def want(self, record_id: str) -> None:
        """See to it that the record's secret is there soon; ``changed`` tells when it is."""
        known = self._records.known.get(record_id)
        if known is None or known.source is not None or record_id in self.contents:
            return
        if record_id not in self._timers:
            self._fetch(record_id)

    async def close(self) -> None:
        """Ask for nothing any more."""
        self._records.listeners.remove(self._follow)
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, stale: Set[str], others: bool) -> None:
        known = self._records.known
        for record_id in {*self.contents, *self._timers} - known.keys():
            self._forget(record_id)
        for record_id in stale & self.contents.keys():
            if known[record_id].source is None:
                self._fetch(record_id)
            else:
                self._forget(record_id)
        for record_id in stale & self._timers.keys() - self.contents.keys():
            self._fetch(record_id)
        if others:
            self._changed(None)

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
            if record_id not in self._records.known:
                return
            if found.username is None or found.password is None:
                self._failed(record_id, Trouble("no_credential", "The record has no credential."))
                return
            credential = Credential(found.username, Secret(found.password.reveal()), found.expires)
            self._take(of_credential(record_id, self._records.known[record_id].prefix, credential))

        try:
            async with self._slots:
                await self._records.call(ask)
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
        if record_id not in self._records.known:
            return
        if self._is_needed(record_id):
            self._fetch(record_id)
        else:
            self._forget(record_id)
