"""Brings every namespace to where it should be: a queue of those in which something changed.

A namespace is worked on by one worker at a time, and what fails there waits longer each time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from pullpass.agent.apply import Gone, WriteFailed, Writer
from pullpass.agent.cluster import Cluster, Sources
from pullpass.agent.content import Content
from pullpass.agent.credentials import Credentials, Trouble
from pullpass.agent.marks import secret_name
from pullpass.agent.plan import (
    ApplySecret,
    Attach,
    DeleteSecret,
    SetPullSecrets,
    Wanted,
    Write,
    plan,
)
from pullpass.agent.records import Records

_WORKERS = 8
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0
# Who undoes a write more often than this meets somebody who does not argue.
_REPAIRS_AT_ONCE = 3
_REPAIRS_FORGOTTEN = 600.0

_log = structlog.get_logger("pullpass.agent")


@dataclass(slots=True)
class _Repairs:
    """How often something was put back, when last, and when it may be again."""

    count: int = 0
    last: float = 0.0
    not_before: float = 0.0


@dataclass(slots=True)
class _Namespace:
    """What is remembered of one: the state of each record's secret, and the troubles."""

    needed: frozenset[str] = frozenset()
    right: frozenset[str] = frozenset()
    troubles: dict[str, Trouble] = field(default_factory=dict)
    failures: int = 0
    written: dict[str, str] = field(default_factory=dict)
    unneeded_since: dict[str, float] = field(default_factory=dict)
    repairs: dict[str, _Repairs] = field(default_factory=dict)


class Controller:
    """``everywhere``: each namespace needs every record, in place of those its images match.

    ``troubled`` is called with namespace, record id and what is newly wrong there.
    """

    def __init__(
        self,
        cluster: Cluster,
        records: Records,
        credentials: Credentials,
        sources: Sources,
        writer: Writer,
        *,
        everywhere: bool,
        attach: Attach,
        grace: float,
        troubled: Callable[[str, str, Trouble], None],
    ) -> None:
        self.states: dict[str, _Namespace] = {}
        self._cluster = cluster
        self._records = records
        self._credentials = credentials
        self._sources = sources
        self._writer = writer
        self._everywhere = everywhere
        self._attach = attach
        self._grace = grace
        self._troubled = troubled
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._busy: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def mark(self, namespace: str) -> None:
        """Look at ``namespace`` soon."""
        if namespace not in self._waiting:
            self._waiting.add(namespace)
            self._idle.clear()
            if namespace not in self._busy:
                self._queue.put_nowait(namespace)

    def mark_record(self, record_id: str | None) -> None:
        """Look at every namespace that needs the record; None: at all there are."""
        if record_id is None:
            for name in {*self._cluster.names(), *self.states}:
                self.mark(name)
            return
        for name, state in self.states.items():
            if record_id in state.needed:
                self.mark(name)

    def needs(self, record_id: str) -> bool:
        return any(record_id in state.needed for state in self.states.values())

    async def run(self) -> None:
        """Work until cancelled. Begins when cluster and records are known."""
        await self._cluster.wait_synced()
        await self._records.loaded.wait()
        self._sources.follow(self._records.sources())
        self.mark_record(None)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_WORKERS):
                    group.create_task(self._work())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def settled(self) -> None:
        """Return when there is nothing to do, but for what failed and waits."""
        await self._cluster.wait_synced()
        await self._records.loaded.wait()
        while True:
            await self._sources.wait_synced()
            await self._idle.wait()
            # What was asked of Pullpass may bring more to do.
            if not self._credentials.busy and self._idle.is_set():
                return
            await asyncio.sleep(0.05)

    async def _work(self) -> None:
        while True:
            namespace = await self._queue.get()
            self._waiting.discard(namespace)
            self._busy.add(namespace)
            try:
                await self._reconcile(namespace)
            except Exception as error:
                # One namespace must not stop the others; this is a mistake of ours.
                _log.error("a namespace was given up on", namespace=namespace, exc_info=error)
                self._later(namespace, _LONGEST_DELAY)
            finally:
                self._busy.discard(namespace)
                if namespace in self._waiting:
                    self._queue.put_nowait(namespace)
                elif not self._waiting and not self._busy:
                    self._idle.set()

    async def _reconcile(self, namespace: str) -> None:
        state = self.states.setdefault(namespace, _Namespace())
        known = self._records.known.keys()
        state.needed = self._needed(namespace) & known
        contents = {}
        for record_id in state.needed:
            self._credentials.want(record_id)
            content = self._content(record_id)
            if content is not None:
                contents[record_id] = content
        observed = self._cluster.observed(namespace)
        now = time.monotonic()
        since = state.unneeded_since
        over = {name for name, start in since.items() if now - start >= self._grace}
        found = plan(observed, Wanted(state.needed, known, contents, self._attach), over)
        state.unneeded_since = {name: since.get(name, now) for name in found.unneeded}
        if state.unneeded_since:
            first = min(state.unneeded_since.values())
            self._later(namespace, first + self._grace - now + 0.01)
        troubles = {each: told for each in state.needed if (told := self._trouble(each))}
        try:
            for write in found.writes:
                if (wait := self._hold(state, write)) > 0:
                    trouble = Trouble(
                        "contested",
                        "Somebody else changes this again and again; the agent puts it back less "
                        "and less often. The managedFields of the object name them.",
                    )
                    troubles[_record_of(write)] = trouble
                    self._later(namespace, wait)
                    continue
                await self._writer.write(namespace, write)
                self._remember(state, write)
            state.failures = 0
        except Gone:
            self._later(namespace, _LONGEST_DELAY)
        except WriteFailed as failure:
            troubles[_record_of(write)] = failure.trouble
            state.failures += 1
            delay = _FIRST_DELAY * 2.0 ** min(state.failures - 1, 10)
            self._later(
                namespace, min(_LONGEST_DELAY, delay if failure.waits else max(60.0, delay))
            )
        self._conclude(namespace, state, troubles)

    def _needed(self, namespace: str) -> frozenset[str]:
        if not self._cluster.serves(namespace):
            return frozenset()
        if self._everywhere:
            return frozenset(self._records.known)
        return self._records.needed(self._cluster.images(namespace))

    def _content(self, record_id: str) -> Content | None:
        found = self._sources.contents.get(record_id)
        return found or self._credentials.contents.get(record_id)

    def _trouble(self, record_id: str) -> Trouble | None:
        """Why the secret of a record is not to be had, or not anew."""
        if (reference := self._sources.missing(record_id)) is not None:
            return Trouble(
                "source_missing",
                f"There is no secret {reference.namespace}/{reference.secret} to copy.",
            )
        if (reason := self._sources.refused(record_id)) is not None:
            return Trouble("source_refused", reason)
        return self._credentials.troubles.get(record_id)

    def _hold(self, state: _Namespace, write: Write) -> float:
        """Seconds to wait before something is put back that was put back often of late."""
        key, what = _identity(write)
        if what is None or state.written.get(key) != what:
            return 0.0
        now = time.monotonic()
        repairs = state.repairs.setdefault(key, _Repairs())
        if now - repairs.last > _REPAIRS_FORGOTTEN:
            repairs.count = 0
        if now < repairs.not_before:
            return repairs.not_before - now
        repairs.count, repairs.last = repairs.count + 1, now
        if repairs.count >= _REPAIRS_AT_ONCE:
            pause = 2.0 ** min(repairs.count - _REPAIRS_AT_ONCE + 2, 10)
            repairs.not_before = now + min(_LONGEST_DELAY, pause)
        return 0.0

    def _remember(self, state: _Namespace, write: Write) -> None:
        key, what = _identity(write)
        if what is None:
            state.written.pop(key, None)
            state.repairs.pop(key, None)
        else:
            state.written[key] = what

    def _conclude(self, namespace: str, state: _Namespace, troubles: dict[str, Trouble]) -> None:
        secrets = self._cluster.observed(namespace).secrets
        right = set()
        for record_id in state.needed - troubles.keys():
            there = secrets.get(secret_name(record_id))
            content = self._content(record_id)
            if there is not None and content is not None and there.digest == content.digest:
                right.add(record_id)
        state.right = frozenset(right)
        for record_id, trouble in troubles.items():
            if state.troubles.get(record_id) != trouble:
                _log.warning(
                    "trouble",
                    namespace=namespace,
                    registry_id=record_id,
                    code=trouble.code,
                    error=trouble.message,
                )
                self._troubled(namespace, record_id, trouble)
        state.troubles = troubles
        if not state.needed and not secrets and not self._cluster.serves(namespace):
            del self.states[namespace]

    def _later(self, namespace: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(namespace)
        if timer is not None:
            if not timer.cancelled() and timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[namespace] = loop.call_later(seconds, self._due, namespace)

    def _due(self, namespace: str) -> None:
        del self._timers[namespace]
        self.mark(namespace)


def _identity(write: Write) -> tuple[str, str | None]:
    """What is written, and a value that is the same where the same is written again."""
    match write:
        case ApplySecret():
            return write.name, write.content.digest
        case SetPullSecrets():
            return f"account/{write.account}", ",".join(write.pull_secrets)
        case DeleteSecret():
            return write.name, None


def _record_of(write: Write) -> str:
    match write:
        case ApplySecret():
            return write.content.record_id
        case DeleteSecret():
            return write.record_id
        case SetPullSecrets():
            # Of all those that are attached, one stands for the rest.
            return min(write.attached, default="").removeprefix(secret_name(""))
