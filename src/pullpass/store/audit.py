"""The audit log: entries are only ever added, at the end of their organization's chain.

The row of a chain is locked until the transaction ends, so that the entries of all replicas stand
in one order. It is the last lock that a transaction takes, for several organizations in the order
of their ids.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, Select, delete, insert, select, update
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
from pullpass.store.engine import Database
from pullpass.store.schema import audit_chains as chains
from pullpass.store.schema import audit_entries as entries
from pullpass.store.schema import organizations

# What a change does besides in its transaction, last of all.
Recording = Callable[[AsyncConnection], Awaitable[None]]

_CHUNK = 1000
_SERVER = Actor("pullpass", "Pullpass")

_log = structlog.get_logger("pullpass.audit")


async def unrecorded(_: AsyncConnection) -> None:
    """The recording of what no organization's log tells of."""


class AuditStore:
    """``signer`` seals what is written."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database = database
        self._signer = signer

    def recording(self, events: Sequence[Event]) -> Recording:
        """Adds ``events`` within a transaction of somebody else's."""

        async def record(connection: AsyncConnection) -> None:
            await self._append(connection, events)

        return record

    async def append(self, events: Sequence[Event]) -> None:
        """Add ``events``, all or none; they are on disk when this returns.

        Raises:
            StoreUnavailable: the database cannot answer now.
        """
        async with self._database.write() as connection:
            await self._append(connection, events)

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
        by_organization: dict[str, list[Event]] = {}
        for event in events:
            by_organization.setdefault(event.organization, []).append(event)
        locked = await _lock(connection, by_organization)
        if missing := sorted(by_organization.keys() - locked.keys()):
            for organization in missing:
                await _begin(connection, organization)
            locked = await _lock(connection, by_organization)
        rows: list[dict[str, Any]] = []
        for organization in sorted(by_organization):
            found, chain = by_organization[organization], locked[organization]
            if not self._is_whole(chain, found[0]):
                chain = await _after_damage(connection, chain)
                found.insert(0, _by_server(AuditAction.FIND_DAMAGE, organization, found[0].at))
            sequence, hash_ = chain.sequence, chain.hash
            for event in found:
                sequence += 1
                rows.append(self._row(event, sequence, hash_))
                hash_ = rows[-1]["hash"]
            seal = self._signer.sign(head_claim(organization, sequence, hash_))
            await connection.execute(
                update(chains)
                .where(chains.c.organization_id == organization)
                .values(sequence=sequence, hash=hash_, seal=seal)
            )
        if rows:
            await connection.execute(insert(entries), rows)

    def _row(self, event: Event, sequence: int, before: bytes) -> dict[str, Any]:
        document = event.document()
        hash_ = next_hash(event.organization, sequence, before, document)
        claim = entry_claim(event.organization, sequence, hash_, document)
        return {
            "organization_id": event.organization,
            "sequence": sequence,
            "at": event.at,
            "action": event.action.value,
            "user_id": event.actor.user_id,
            "registry_id": short(event.registry_id),
            "result": event.result.value,
            "document": document,
            "hash": hash_,
            "seal": self._signer.sign(claim),
        }

    def _is_whole(self, chain: Chain, following: Event) -> bool:
        """Whether the end of the chain is where the server left it."""
        if chain.seal is None:
            return following.action in (AuditAction.CREATE_ORGANIZATION, AuditAction.BEGIN_LOG)
        claim = head_claim(chain.organization, chain.sequence, chain.hash)
        return hmac.compare_digest(self._signer.sign(claim), chain.seal)


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
