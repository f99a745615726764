"""Short-lived credentials: one upstream call per identity and renewal window, always fresh.

However many requests, workers and replicas ask at once, one of them asks the upstream; the rest
take what it saved. A credential is renewed ahead of its end, in the background while it is in
use, and no request waits for that. Where the upstream fails, the last good credential is handed
out until it really ends.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from pullpass.broker.clock import Clock
from pullpass.broker.issued_values import as_error, identity_of, pack, place_of, unpack
from pullpass.broker.schedule import Schedule
from pullpass.domain import timestamp
from pullpass.domain.credential import Credential
from pullpass.domain.errors import ExchangeFailed, ExchangeUnavailable, StoreUnavailable
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.exchange.exchanger import Exchanger, Issued, Source
from pullpass.sealing.keyring import Keyring
from pullpass.store.issued import (
    IssuedKey,
    IssuedState,
    IssuedStore,
    StoredCredential,
)

_ATTEMPT = timedelta(seconds=25)
_LEASE = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(seconds=60)
_ASK_AGAIN_SECONDS = 0.1
# By how much the clocks of two replicas may differ.
_CLOCKS_DIFFER = timedelta(minutes=1)
_TICK_SECONDS = 1.0
# How long what was issued for a trial may be used for it.
_TRIAL_SECONDS = 60.0

_log = structlog.get_logger("pullpass.issuing")


class Observer(Protocol):
    """Counts what happens here."""

    def issued(self, record_type: str) -> None: ...
    def served(self, record_type: str) -> None: ...
    def failed(self, record_type: str, code: str) -> None: ...
    def expires(self, organization: str, record_id: str, moment: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Demand:
    """A credential is wanted for ``host`` under ``record``; ``open_creds`` gives what it is
    issued from, and is called only where the upstream or the store has to be asked.
    """

    organization: str
    record: Record
    host: str
    open_creds: Callable[[], Awaitable[Credential | None]]


# The version is part of it, so that a changed record never finds what was issued before.
_MemoryKey = tuple[str, str, int, str]


@dataclass(slots=True)
class _Live:
    """A credential in memory. ``quiet_until``: no use in renewing before."""

    demand: Demand
    credential: Credential
    stored: StoredCredential
    used_at: datetime
    quiet_until: datetime


@dataclass(frozen=True, slots=True)
class _Attempt:
    key: IssuedKey
    lease: str
    source: Source
    state: IssuedState = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ending:
    """The identity of a record that ends, and the handles of what was issued from it."""

    identity: str
    source: Source = field(repr=False)
    handles: tuple[str, ...] = field(repr=False)


class Issuer:
    """Issues, remembers and renews. ``run`` is the background task."""

    def __init__(
        self,
        store: IssuedStore,
        keyring: Keyring,
        exchangers: Mapping[RecordType, Exchanger],
        schedule: Schedule,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._exchangers = exchangers
        self._schedule = schedule
        self._clock = clock
        self._observer = observer
        self._live: dict[_MemoryKey, _Live] = {}
        self._obtaining: dict[_MemoryKey, asyncio.Task[Credential]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def credential(self, demand: Demand) -> Credential:
        """A credential with a useful remaining life.

        Raises:
            ExchangeFailed: the upstream gives none, and no earlier one is still valid.
            StoreUnavailable: the database does not answer.
        """
        record = demand.record
        now = self._clock()
        scope = self._exchangers[record.type].scope(demand.host)
        memory_key = (demand.organization, record.id, record.version, scope)
        live = self._live.get(memory_key)
        if live is not None:
            live.used_at = now
            if self._is_useful(live.stored, now):
                if now >= max(live.stored.renew_at, live.quiet_until):
                    self._obtain(memory_key, demand)
                self._observer.served(record.type)
                return live.credential
        return await asyncio.shield(self._obtain(memory_key, demand))

    async def trial(self, record: Record, creds: Credential | None, host: str) -> Credential:
        """A credential that is not kept: to try what a record would give before it is stored.

        Raises:
            ExchangeFailed: the upstream gives none.
        """
        source = Source(record, creds, host)
        issued = await self._ask(source, self._clock())
        if issued.handle is not None:
            self._in_background(self._revoke(source, (issued.handle,), _TRIAL_SECONDS))
        return issued.credential

    async def run(self) -> None:
        """Renew what is in use ahead of its end, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock()
            for memory_key, live in list(self._live.items()):
                lifetime = live.stored.expires_at - live.stored.issued_at
                if live.stored.expires_at <= now or now - live.used_at > lifetime:
                    del self._live[memory_key]
                elif now >= max(live.stored.renew_at, live.quiet_until):
                    self._obtain(memory_key, live.demand)

    def forget(self, organization: str, record_id: str) -> None:
        """Drop what is in memory for a record that changed or went: on every replica."""
        for memory_key in [key for key in self._live if key[:2] == (organization, record_id)]:
            del self._live[memory_key]

    async def close(self) -> None:
        """Stop asking upstreams."""
        tasks = [*self._obtaining.values(), *self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ending(self, organization: str, record: Record, creds: Credential | None) -> Ending:
        """What a record that is about to change or go leaves behind. The write that ends it
        drops the identity's rows; :meth:`end` does the rest after it.
        """
        identity = identity_of(record, creds)
        sealed = await self._store.of_identity(organization, identity)
        issued = [await self._open(organization, identity, each) for each in sealed]
        source = Source(record, creds, record.prefix.domain)
        handles = tuple(each.handle for each in issued if each.handle is not None)
        return Ending(identity, source, handles)

    def end(self, ending: Ending | None) -> None:
        """Revoke upstream, in the background, what can be revoked."""
        if ending is not None and ending.handles:
            self._in_background(self._revoke(ending.source, ending.handles))

    async def _revoke(self, source: Source, handles: Iterable[str], wait: float = 0) -> None:
        await asyncio.sleep(wait)
        for handle in handles:
            try:
                await self._exchangers[source.record.type].revoke(source, handle)
            except ExchangeFailed as error:
                # It ends by itself at its expiry.
                _log.warning(
                    "not revoked",
                    registry_id=source.record.id,
                    code=error.code,
                    error=error.message,
                )

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _obtain(self, memory_key: _MemoryKey, demand: Demand) -> asyncio.Task[Credential]:
        """The one task that gets the next credential for ``memory_key`` in this process."""
        task = self._obtaining.get(memory_key)
        if task is None:
            task = asyncio.create_task(self._next(memory_key, demand))
            self._obtaining[memory_key] = task
            task.add_done_callback(lambda done: self._obtained(memory_key, done))
        return task

    def _obtained(self, memory_key: _MemoryKey, task: asyncio.Task[Credential]) -> None:
        del self._obtaining[memory_key]
        if task.cancelled():
            return
        error = task.exception()
        # Where a request waits for the task it gets the error; a renewal has nobody to tell.
        if error is not None and not isinstance(error, (ExchangeFailed, StoreUnavailable)):
            _log.error("renewal failed", exc_info=error)

    async def _next(self, memory_key: _MemoryKey, demand: Demand) -> Credential:
        live = self._live.get(memory_key)
        known = live.stored.generation if live is not None else 0
        creds = await demand.open_creds()
        scope = memory_key[3]
        key = IssuedKey(demand.organization, identity_of(demand.record, creds), scope)
        deadline = self._clock() + _LONGEST_WAIT
        while (now := self._clock()) < deadline:
            state = await self._store.get(key) or IssuedState(0, None, None, None)
            stored = state.credential
            if stored is not None and stored.generation > known and self._is_useful(stored, now):
                return await self._remember(memory_key, demand, key, stored)
            if state.failure is not None and now < state.failure.retry_at:
                return await self._last_good(
                    memory_key, demand, key, state, as_error(state.failure, now)
                )
            attempt = _Attempt(
                key, uuid.uuid4().hex, Source(demand.record, creds, demand.host), state
            )
            if await self._store.claim(
                key, attempt.lease, state.generation, now=now, lasting=_LEASE
            ):
                return await self._exchange(memory_key, demand, attempt)
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        raise ExchangeUnavailable(
            f"Another server still asks for the credential of '{demand.record.id}'. Try again.",
            retry_after=1,
        )

    async def _exchange(
        self, memory_key: _MemoryKey, demand: Demand, attempt: _Attempt
    ) -> Credential:
        record, key = demand.record, attempt.key
        now = self._clock()
        try:
            issued = await self._ask(attempt.source, now)
        except ExchangeFailed as error:
            return await self._failed(memory_key, demand, attempt, error)
        except asyncio.CancelledError:
            await asyncio.shield(self._store.release(key, attempt.lease))
            raise
        self._observer.issued(record.type)
        place = place_of(key.organization, key.identity)
        stored = StoredCredential(
            attempt.state.generation + 1,
            await self._keyring.seal(place, pack(issued), now=now),
            now,
            issued.expires,
            self._schedule.renew_at(now, issued.expires),
        )
        generation = await self._store.save(
            key,
            attempt.lease,
            stored.sealed,
            issued_at=now,
            expires_at=stored.expires_at,
            renew_at=stored.renew_at,
        )
        if generation is None:
            # The record was changed meanwhile. Who asked before that still gets an answer, and
            # nobody after.
            return issued.credential
        self._keep(memory_key, demand, issued.credential, stored)
        await self._retire(attempt)
        return issued.credential

    async def _ask(self, source: Source, now: datetime) -> Issued:
        try:
            async with asyncio.timeout(_ATTEMPT.total_seconds()):
                return await self._exchangers[source.record.type].exchange(source, now)
        except TimeoutError:
            raise ExchangeUnavailable("The upstream took too long to answer.") from None

    async def _retire(self, attempt: _Attempt) -> None:
        """Revoke the credential that was replaced, once those who just got it have used it."""
        if attempt.state.credential is None:
            return
        key = attempt.key
        before = await self._open(key.organization, key.identity, attempt.state.credential.sealed)
        if before.handle is not None:
            wait = self._schedule.min_life.total_seconds()
            self._in_background(self._revoke(attempt.source, (before.handle,), wait))

    async def _failed(
        self, memory_key: _MemoryKey, demand: Demand, attempt: _Attempt, error: ExchangeFailed
    ) -> Credential:
        now = self._clock()
        failure = self._schedule.failure(error, attempt.state.failure, now)
        self._observer.failed(demand.record.type, error.code)
        _log.warning(
            "exchange failed",
            registry_id=demand.record.id,
            type=demand.record.type,
            code=error.code,
            error=error.message,
            attempt=failure.count,
            retry_at=timestamp.render(failure.retry_at),
        )
        await self._store.fail(attempt.key, attempt.lease, failure, now=now)
        state = IssuedState(attempt.state.generation, attempt.state.credential, failure, None)
        return await self._last_good(memory_key, demand, attempt.key, state, as_error(failure, now))

    async def _last_good(
        self,
        memory_key: _MemoryKey,
        demand: Demand,
        key: IssuedKey,
        state: IssuedState,
        error: ExchangeFailed,
    ) -> Credential:
        """The credential from before the failure while it is valid; else the error."""
        if state.credential is None or state.credential.expires_at <= self._clock():
            raise error
        credential = await self._remember(memory_key, demand, key, state.credential)
        if state.failure is not None:
            self._live[memory_key].quiet_until = state.failure.retry_at
        return credential

    async def _remember(
        self, memory_key: _MemoryKey, demand: Demand, key: IssuedKey, stored: StoredCredential
    ) -> Credential:
        issued = await self._open(key.organization, key.identity, stored.sealed)
        self._keep(memory_key, demand, issued.credential, stored)
        return issued.credential

    def _keep(
        self,
        memory_key: _MemoryKey,
        demand: Demand,
        credential: Credential,
        stored: StoredCredential,
    ) -> None:
        before = self._live.get(memory_key)
        used_at = self._clock() if before is None else before.used_at
        self._live[memory_key] = _Live(demand, credential, stored, used_at, stored.renew_at)
        self._observer.expires(demand.organization, demand.record.id, stored.expires_at)

    def _is_useful(self, stored: StoredCredential, now: datetime) -> bool:
        # The clock was set back since: by it, the credential would live on after its true end.
        if stored.issued_at - now > _CLOCKS_DIFFER:
            return False
        required = self._schedule.required_life(stored.expires_at - stored.issued_at)
        return stored.expires_at - now >= required

    async def _open(self, organization: str, identity: str, sealed: bytes) -> Issued:
        return unpack(await self._keyring.open(place_of(organization, identity), sealed))
