"""Reading the audit log: pages for people, the chain for whoever exports or verifies it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.audit import Entry, Position, Wanted
from pullpass.domain.audit_verification import Chain, KeptEntry
from pullpass.store.audit import chain_of, in_order
from pullpass.store.engine import Database
from pullpass.store.schema import audit_chains as chains
from pullpass.store.schema import audit_entries as entries
from pullpass.store.schema import organizations

_CHUNK = 1000
# So many entries are looked at for one page, however few of them are asked for.
_LOOKED_AT = 20_000


class AuditReader:
    """Changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, organization: str, wanted: Wanted, *, before: Position | None, limit: int
    ) -> tuple[list[Entry], Position | None]:
        """Up to ``limit`` entries, newest first, from the one behind ``before`` on, and where to
        go on from; None at the end. There may be fewer, even none, and more to come.
        """
        looked_at = (
            select(entries)
            .where(entries.c.organization_id == organization, *_within(wanted, before))
            .order_by(entries.c.at.desc(), entries.c.sequence.desc())
            .limit(_LOOKED_AT)
            .subquery()
        )
        order = (looked_at.c.at.desc(), looked_at.c.sequence.desc())
        query = select(looked_at).where(*_like(looked_at.c, wanted)).order_by(*order)
        last = (
            select(looked_at.c.at, looked_at.c.sequence)
            .order_by(looked_at.c.at, looked_at.c.sequence)
            .limit(1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit + 1))).all()
            if len(rows) > limit:
                row = rows[limit - 1]
                return [_entry(row) for row in rows[:limit]], Position(row.at, row.sequence)
            count = (
                await connection.execute(select(func.count()).select_from(looked_at))
            ).scalar_one()
            if count < _LOOKED_AT:
                return [_entry(row) for row in rows], None
            end = (await connection.execute(last)).one()
        return [_entry(row) for row in rows], Position(end.at, end.sequence)

    async def after(self, organization: str, sequence: int, *, limit: int) -> list[Entry]:
        """Up to ``limit`` entries in the order of the chain, behind the one with that number."""
        query = in_order(organization, sequence, limit)
        async with self._database.read() as connection:
            return [_entry(row) for row in await connection.execute(query)]

    async def chains(self) -> list[Chain]:
        """The chain of every organization by its id; one that is gone is empty, with no seal."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(chains))
            found = {row.organization_id: chain_of(row) for row in rows}
            known = list((await connection.execute(select(organizations.c.id))).scalars())
        return [found.get(each) or Chain(each) for each in sorted({*found, *known})]

    @asynccontextmanager
    async def reading(
        self, organization: str
    ) -> AsyncIterator[tuple[Chain, AsyncIterator[list[KeptEntry]]]]:
        """The chain, and its entries in chunks, in their order: one state of the database."""
        async with self._database.read() as connection:
            query = select(chains).where(chains.c.organization_id == organization)
            row = (await connection.execute(query)).one_or_none()
            chain = Chain(organization) if row is None else chain_of(row)
            yield chain, _chunks(connection, organization)


async def _chunks(connection: AsyncConnection, organization: str) -> AsyncIterator[list[KeptEntry]]:
    at = -1
    while rows := (await connection.execute(in_order(organization, at, _CHUNK))).all():
        yield [_kept(row) for row in rows]
        at = rows[-1].sequence


def _within(wanted: Wanted, before: Position | None) -> list[ColumnElement[bool]]:
    found = []
    if wanted.since is not None:
        found.append(entries.c.at >= wanted.since)
    if wanted.until is not None:
        found.append(entries.c.at < wanted.until)
    if before is not None:
        earlier = and_(entries.c.at == before.at, entries.c.sequence < before.sequence)
        # The first condition says nothing new: it is what the index can be used for.
        found += [entries.c.at <= before.at, or_(entries.c.at < before.at, earlier)]
    return found


def _like(columns: Any, wanted: Wanted) -> list[ColumnElement[bool]]:
    pairs = (
        (columns.action, wanted.action),
        (columns.user_id, wanted.user_id),
        (columns.registry_id, wanted.registry_id),
        (columns.result, wanted.result),
    )
    return [column == value for column, value in pairs if value is not None]


def _entry(row: Row[*tuple[Any, ...]]) -> Entry:
    return Entry(row.sequence, row.document, row.hash)


def _kept(row: Row[*tuple[Any, ...]]) -> KeptEntry:
    columns = {
        "action": row.action,
        "user_id": row.user_id,
        "registry_id": row.registry_id,
        "result": row.result,
    }
    return KeptEntry(row.sequence, row.document, row.hash, row.seal, row.at, columns)
