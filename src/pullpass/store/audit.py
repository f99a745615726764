"""The audit log: entries are only ever added, at the end of their organization's chain.

The row of a chain is locked until the transaction ends, so that the entries of all replicas stand
in one order. It is the last lock that a transaction takes, for several organizations in the order
of their ids.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import BigInteger, Row, Select, column, delete, insert, select, table, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.audit import (
    GENESIS,
    Actor,
    AuditAction,
    Event,
    checkpoint_claim,
    entry_claim,
    head_claim,
    next_hash,
    short,
)
from pullpass.domain.audit_verification import Chain, Signer
from pullpass.store import engine
from pullpass.store.audit_extension import Continuation, EntryRow, Extension, Head, Log
from pullpass.store.engine import Database
from pullpass.store.schema import audit_chains as chains
from pullpass.store.schema import audit_entries as entries
from pullpass.store.schema import milliseconds, organizations

# What a change does besides in its transaction, last of all.
Recording = Callable[[AsyncConnection], Awaitable[None]]
# Adds entries by the driver, with what it does besides, and says whether it is done.
Put = Callable[[Log], Awaitable[bool]]

_CHUNK = 1000
_SERVER = Actor("pullpass", "Pullpass")

# The entries with times as they are in the rows.
_AS_STORED = table(
    entries.name,
    *(column(each.name, BigInteger if each is entries.c.at else each.type) for each in entries.c),
)

_log = structlog.get_logger("pullpass.audit")


async def unrecorded(_: AsyncConnection) -> None:
    """The recording of what no organization's log tells of."""


class AuditStore:
    """``signer`` seals what is written."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database = database
        self._signer = signer
        self._heads: dict[str, Head] = {}
        # The organizations whose chains other replicas extend as well: there it takes the lock.
        self._shared: set[str] = set()
        self._turn: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def recording(self, events: Sequence[Event]) -> Recording:
        """Adds ``events`` within a transaction of somebody else's."""

        async def record(connection: AsyncConnection) -> None:
            await self._append(connection, events)

        return record

    async def extend(self, events: Sequence[Event], put: Put) -> bool:
        """Have ``put`` add ``events`` of one organization, and say whether that is done.

        First it gets entries for where the chain was left. Where the chain went on elsewhere, or
        always does, it gets what makes the entries once the chain is locked. False: nothing is
        done, for another reason.
        """
        organization = events[0].organization
        made: list[Extension] = []

        def behind(end: Head) -> Extension | None:
            if end == tried or not self._is_sealed(organization, end):
                return None
            made.append(self._extension(organization, end, events))
            return made[-1]

        async with self._turns([organization]):
            tried = None if organization in self._shared else self._heads.get(organization)
            if tried is not None:
                extension = self._extension(organization, tried, events)
                if await put(extension):
                    self._heads[organization] = extension.after
                    return True
            done = await put(Continuation(organization, behind))
            if done:
                self._note(made[0].before, made[0])
            return done

    async def append(self, events: Sequence[Event]) -> None:
        """Add ``events``, all or none; they are on disk when this returns.

        Raises:
            StoreUnavailable: the database cannot answer now.
        """
        by_organization = _by_organization(events)
        if len(by_organization) == 1:
            done = await self.extend(events, self._put)
        else:
            done = await self._extend_all(by_organization)
        if not done:
            async with self._database.write() as connection:
                await self._append(connection, events)

    async def _put(self, log: Log) -> bool:
        if isinstance(log, Extension):
            return await self._database.extend_chains([log])
        return await self._database.continue_chain(log)

    async def _extend_all(self, by_organization: Mapping[str, Sequence[Event]]) -> bool:
        """Whether the events are on disk, behind where the chains were left."""
        ids = by_organization.keys()
        async with self._turns(ids):
            if not ids <= self._heads.keys() or ids & self._shared:
                return False
            extensions = [
                self._extension(organization, self._heads[organization], its)
                for organization, its in by_organization.items()
            ]
            done = await self._database.extend_chains(extensions)
            if done:
                self._heads.update({each.organization: each.after for each in extensions})
            return done

    @asynccontextmanager
    async def _turns(self, ids: Collection[str]) -> AsyncIterator[None]:
        """In this process, one at a time goes on with a chain from where it is known to end."""
        turns = [self._turn.setdefault(each, asyncio.Lock()) for each in sorted(ids)]
        async with AsyncExitStack() as stack:
            for turn in turns:
                await stack.enter_async_context(turn)
            yield

    def beginning(self, now: datetime) -> Recording:
        """Begins the chains of the organizations that are older than the audit log.

        From then on an organization's chain begins with its creation, and one that has none lost
        it.
        """

        async def record(connection: AsyncConnection) -> None:
            found = (await connection.execute(select(organizations.c.id))).scalars()
            await self._append(
                connection, [_by_server(AuditAction.BEGIN_LOG, each, now) for each in found]
            )

        return record

    async def is_empty(self) -> bool:
        """Whether no chain has begun yet."""
        async with self._database.read() as connection:
            return (await connection.execute(select(chains).limit(1))).first() is None

    async def prune_all(self, before: datetime) -> int:
        """:meth:`prune` in every organization; returns how many entries."""
        async with self._database.read() as connection:
            found = list((await connection.execute(select(chains.c.organization_id))).scalars())
        return sum([await self.prune(each, before) for each in found])

    async def prune(self, organization: str, before: datetime) -> int:
        """Forget the oldest entries up to the first one that is not older than ``before``.

        Returns how many; the chain then begins behind them, with a checkpoint that says so.
        """
        pruned = 0
        while (count := await self._prune_some(organization, before)) > 0:
            pruned += count
        return pruned

    async def _prune_some(self, organization: str, before: datetime) -> int:
        async with self._database.write() as connection:
            chain = (await _lock(connection, [organization])).get(organization)
            if chain is None:
                return 0
            first = chain.pruned_sequence
            rows = (await connection.execute(in_order(organization, first, _CHUNK))).all()
            old = [row for row in rows if row.at < before]
            young = next((row.sequence for row in rows if row.at >= before), None)
            if young is not None:
                old = [row for row in old if row.sequence < young]
            if not old:
                return 0
            last = old[-1]
            await connection.execute(
                delete(entries).where(
                    entries.c.organization_id == organization, entries.c.sequence <= last.sequence
                )
            )
            claim = checkpoint_claim(organization, last.sequence, last.hash)
            await connection.execute(
                update(chains)
                .where(chains.c.organization_id == organization)
                .values(
                    pruned_sequence=last.sequence,
                    pruned_hash=last.hash,
                    pruned_seal=self._signer.sign(claim),
                )
            )
            return len(old)

    async def _append(self, connection: AsyncConnection, events: Iterable[Event]) -> None:
        by_organization = _by_organization(events)
        locked = await _lock(connection, by_organization)
        if missing := sorted(by_organization.keys() - locked.keys()):
            for organization in missing:
                await _begin(connection, organization)
            locked = await _lock(connection, by_organization)
        rows: list[EntryRow] = []
        for organization in sorted(by_organization):
            found, chain = by_organization[organization], locked[organization]
            if not self._is_whole(chain, found[0]):
                chain = await _after_damage(connection, chain)
                found.insert(0, _by_server(AuditAction.FIND_DAMAGE, organization, found[0].at))
            before = Head(chain.sequence, chain.hash, chain.seal or b"")
            extension = self._extension(organization, before, found)
            rows += extension.rows
            after = extension.after
            await connection.execute(
                update(chains)
                .where(chains.c.organization_id == organization)
                .values(sequence=after.sequence, hash=after.hash, seal=after.seal)
            )
            self._note(before, extension)
        if rows:
            names = entries.c.keys()
            values = [dict(zip(names, row, strict=True)) for row in rows]
            await connection.execute(insert(_AS_STORED), values)

    def _note(self, before: Head, extension: Extension) -> None:
        """Remember where a chain will end, and whether others are busy with it too.

        Should the transaction not be committed, the memory is wrong, and is found to be so.
        """
        organization = extension.organization
        if self._heads.get(organization, before) == before:
            self._shared.discard(organization)
        else:
            self._shared.add(organization)
        self._heads[organization] = extension.after

    def _extension(self, organization: str, before: Head, events: Sequence[Event]) -> Extension:
        sequence, hash_ = before.sequence, before.hash
        rows: list[EntryRow] = []
        for event in events:
            sequence += 1
            document = event.document()
            hash_ = next_hash(organization, sequence, hash_, document)
            claim = entry_claim(organization, sequence, hash_, document)
            rows.append(
                (
                    organization,
                    sequence,
                    milliseconds(event.at),
                    event.action.value,
                    event.actor.user_id,
                    short(event.registry_id),
                    event.result.value,
                    document,
                    hash_,
                    self._signer.sign(claim),
                )
            )
        seal = self._signer.sign(head_claim(organization, sequence, hash_))
        return Extension(organization, before, Head(sequence, hash_, seal), rows)

    def _is_whole(self, chain: Chain, following: Event) -> bool:
        """Whether the end of the chain is where the server left it."""
        if chain.seal is None:
            return following.action in (AuditAction.CREATE_ORGANIZATION, AuditAction.BEGIN_LOG)
        return self._is_sealed(chain.organization, Head(chain.sequence, chain.hash, chain.seal))

    def _is_sealed(self, organization: str, end: Head) -> bool:
        claim = head_claim(organization, end.sequence, end.hash)
        return hmac.compare_digest(self._signer.sign(claim), end.seal)


def _by_organization(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.organization, []).append(event)
    return found


async def _after_damage(connection: AsyncConnection, chain: Chain) -> Chain:
    """Where to go on where the end of a chain is forged: behind the last entry there is.

    Sealing the end again must not hide what was done to it, so an entry says it for good.
    """
    _log.error(
        "the end of the audit log is forged",
        organization=chain.organization,
        sequence=chain.sequence,
    )
    query = (
        select(entries.c.sequence, entries.c.hash)
        .where(entries.c.organization_id == chain.organization)
        .order_by(entries.c.sequence.desc())
        .limit(1)
    )
    last = (await connection.execute(query)).one_or_none()
    if last is None or last.sequence < chain.sequence:
        return chain
    return Chain(chain.organization, last.sequence, last.hash)


async def _lock(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Chain]:
    query = (
        select(chains)
        .where(chains.c.organization_id.in_(sorted(ids)))
        .order_by(chains.c.organization_id)
        .with_for_update()
    )
    return {row.organization_id: chain_of(row) for row in await connection.execute(query)}


async def _begin(connection: AsyncConnection, organization: str) -> None:
    row = {"sequence": 0, "hash": GENESIS, "pruned_sequence": 0, "pruned_hash": GENESIS}
    put = engine.insert(connection, chains).values(organization_id=organization, **row)
    await connection.execute(put.on_conflict_do_nothing())


def _by_server(action: AuditAction, organization: str, now: datetime) -> Event:
    return Event(organization, action, now, _SERVER, "LOCAL", "pullpass serve", 200)


def chain_of(row: Row[*tuple[Any, ...]]) -> Chain:
    return Chain(
        row.organization_id,
        row.sequence,
        row.hash,
        row.seal,
        row.pruned_sequence,
        row.pruned_hash,
        row.pruned_seal,
    )


def in_order(organization: str, after: int, limit: int) -> Select[*tuple[Any, ...]]:
    """A query for entries behind the one with that number, in the order of the chain."""
    return (
        select(entries)
        .where(entries.c.organization_id == organization, entries.c.sequence > after)
        .order_by(entries.c.sequence)
        .limit(limit)
    )
