"""Short-lived credentials that were issued, and who may ask the upstream for the next one.

A row stands for one credential that all replicas share. Before a process asks the upstream it
takes the row's lease; whoever does not get it waits for what the holder saves. A lease ends by
itself, so that a process that dies holds nobody up for long.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.store.engine import Database, in_chunks, insert
from pullpass.store.schema import issued


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """``identity`` is what a credential is issued from, ``scope`` what it is good for."""

    organization: str
    identity: str
    scope: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The last attempt failed; nobody asks the upstream again before ``retry_at``."""

    count: int
    code: str
    message: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A sealed credential. ``generation`` counts what was issued for the key before it."""

    generation: int
    sealed: bytes = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    renew_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedState:
    """What is known for a key: a credential, a failure, both, or that somebody is asking."""

    generation: int
    credential: StoredCredential | None
    failure: Failure | None
    leased_until: datetime | None


class IssuedStore:
    """All times come from the callers, whose clocks are the replicas'."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: IssuedKey) -> IssuedState | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(issued).where(_is(key)))).one_or_none()
        return None if row is None else _state(row)

    async def of_identity(self, organization: str, identity: str) -> list[bytes]:
        """The sealed credentials that were issued from an identity."""
        query = select(issued.c.sealed).where(
            *_from_identity(organization, identity), issued.c.sealed.is_not(None)
        )
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def states(
        self, organization: str, identities: Collection[str]
    ) -> dict[str, list[IssuedState]]:
        """What is known for each of the identities that anything is known for."""
        found: dict[str, list[IssuedState]] = {}
        async with self._database.read() as connection:
            for chunk in in_chunks(identities):
                query = select(issued).where(
                    issued.c.organization_id == organization, issued.c.identity.in_(chunk)
                )
                for row in await connection.execute(query):
                    found.setdefault(row.identity, []).append(_state(row))
        return found

    async def claim(
        self, key: IssuedKey, lease: str, generation: int, *, now: datetime, lasting: timedelta
    ) -> bool:
        """Take the lease of ``key``: whether it was got.

        It is not where another holds it, where a credential newer than ``generation`` is there,
        or where a failure forbids to ask yet. A lease that ends later than any can was taken before
        the clock was set back, and holds nobody up.
        """
        held = {"lease": lease, "lease_until": now + lasting, "touched_at": now}
        async with self._database.write() as connection:
            fresh = (
                insert(connection, issued)
                .values(
                    organization_id=key.organization,
                    identity=key.identity,
                    scope=key.scope,
                    generation=0,
                    failures=0,
                    **held,
                )
                .on_conflict_do_nothing()
            )
            if (await connection.execute(fresh)).rowcount == 1:
                return True
            free = or_(
                issued.c.lease.is_(None),
                issued.c.lease_until <= now,
                # Twice, since the clock of the replica that has it may be ahead.
                issued.c.lease_until > now + 2 * lasting,
            )
            may_ask = or_(issued.c.retry_at.is_(None), issued.c.retry_at <= now)
            taken = (
                update(issued)
                .where(_is(key), issued.c.generation <= generation, free, may_ask)
                .values(**held)
            )
            return (await connection.execute(taken)).rowcount == 1

    async def save(
        self,
        key: IssuedKey,
        lease: str,
        sealed: bytes,
        *,
        issued_at: datetime,
        expires_at: datetime,
        renew_at: datetime,
    ) -> int | None:
        """Keep a new credential and give the lease back; the generation that it has.

        None: the lease was lost, or the row was dropped since. The credential is not kept.
        """
        query = (
            update(issued)
            .where(_is(key), issued.c.lease == lease)
            .values(
                generation=issued.c.generation + 1,
                sealed=sealed,
                issued_at=issued_at,
                expires_at=expires_at,
                renew_at=renew_at,
                touched_at=issued_at,
                lease=None,
                lease_until=None,
                failures=0,
                failure_code=None,
                failure_message=None,
                retry_at=None,
            )
            .returning(issued.c.generation)
        )
        async with self._database.write() as connection:
            generation: int | None = (await connection.execute(query)).scalar_one_or_none()
            return generation

    async def fail(self, key: IssuedKey, lease: str, failure: Failure, *, now: datetime) -> None:
        """Note that the attempt failed and give the lease back; the credential before stays."""
        query = (
            update(issued)
            .where(_is(key), issued.c.lease == lease)
            .values(
                failures=failure.count,
                failure_code=failure.code,
                failure_message=failure.message,
                retry_at=failure.retry_at,
                touched_at=now,
                lease=None,
                lease_until=None,
            )
        )
        async with self._database.write() as connection:
            await connection.execute(query)

    async def release(self, key: IssuedKey, lease: str) -> None:
        """Give the lease back, with nothing to say."""
        query = (
            update(issued)
            .where(_is(key), issued.c.lease == lease)
            .values(lease=None, lease_until=None)
        )
        async with self._database.write() as connection:
            await connection.execute(query)

    async def purge(self, before: datetime) -> int:
        """Forget what was last touched, and has expired, before ``before``."""
        query = delete(issued).where(
            issued.c.touched_at < before,
            or_(issued.c.expires_at.is_(None), issued.c.expires_at < before),
        )
        async with self._database.write() as connection:
            return (await connection.execute(query)).rowcount


async def drop_issued(connection: AsyncConnection, organization: str, identity: str) -> None:
    """Forget all that was issued from an identity, within the write that ends it."""
    await connection.execute(delete(issued).where(*_from_identity(organization, identity)))


def _is(key: IssuedKey) -> ColumnElement[bool]:
    return and_(
        issued.c.organization_id == key.organization,
        issued.c.identity == key.identity,
        issued.c.scope == key.scope,
    )


def _from_identity(
    organization: str, identity: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return issued.c.organization_id == organization, issued.c.identity == identity


def _state(row: Row[*tuple[object, ...]]) -> IssuedState:
    values = row._mapping
    credential = failure = None
    if values["sealed"] is not None:
        credential = StoredCredential(
            values["generation"],
            values["sealed"],
            values["issued_at"],
            values["expires_at"],
            values["renew_at"],
        )
    if values["retry_at"] is not None:
        failure = Failure(
            values["failures"],
            values["failure_code"],
            values["failure_message"],
            values["retry_at"],
        )
    leased_until = values["lease_until"] if values["lease"] is not None else None
    return IssuedState(values["generation"], credential, failure, leased_until)
