"""Users by the name that an OpenID provider has for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import Conflict, NotFound
from pullpass.domain.identity import Membership, Role, User
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.changes import IDENTITY_FEED, announce
from pullpass.store.engine import insert
from pullpass.store.identity import IdentityStore
from pullpass.store.schema import identities, memberships, tokens, users
from pullpass.store.tokens import CHANGE_KIND
from pullpass.store.users import (
    find_user,
    find_users,
    has_email,
    put_membership,
    require_other_admin,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, as the provider ``issuer`` tells it from all others."""

    issuer: str
    subject: str


class SignInStore(IdentityStore):
    """A user has one identity at a provider, and goes with it."""

    async def user_of(self, identity: Identity) -> User | None:
        of_identity = select(identities.c.user_id).where(
            identities.c.issuer == identity.issuer, identities.c.subject == identity.subject
        )
        return await self._one(users.c.id.in_(of_identity))

    async def user_with_email(self, email: str) -> User | None:
        """The user with this address, in whatever case."""
        return await self._one(has_email(email))

    async def bind(
        self, identity: Identity, user_id: str, *, now: datetime, audit: Recording = unrecorded
    ) -> None:
        """From now on ``identity`` is that user.

        Raises:
            Conflict: `identity_taken`: it is another user, or the user has another one.
            NotFound: there is no such user.
        """
        async with self._database.write() as connection:
            await announce(connection, IDENTITY_FEED, CHANGE_KIND, user_id, now)
            await _bind(connection, identity, user_id, now)
            await audit(connection)

    async def add(
        self, identity: Identity, user: User, *, now: datetime, audit: Recording = unrecorded
    ) -> None:
        """A new user with its memberships, who is ``identity``.

        Raises:
            Conflict: `identity_taken`, or as :meth:`add_user`.
        """

        async def bound(connection: AsyncConnection) -> None:
            await _bind(connection, identity, user.id, now)
            await audit(connection)

        await self.add_user(user, now=now, audit=bound)

    async def change(
        self,
        user_id: str,
        given: Mapping[str, Membership],
        taken: Collection[str],
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> User:
        """The user with the memberships ``given``, and without those in ``taken``. The tokens that
        there were end: what they could do was another's to say.

        Raises:
            Conflict: `last_admin`.
            NotFound: there is no such user.
        """
        async with self._database.write() as connection:
            await announce(connection, IDENTITY_FEED, CHANGE_KIND, user_id, now)
            await _hold_tokens(connection, user_id)
            user = await _require(connection, user_id)
            for organization in user.memberships.keys() & {*given, *taken}:
                membership = given.get(organization)
                if membership is None or membership.role is not Role.ADMIN:
                    await require_other_admin(connection, organization, user)
                if membership is None:
                    of_organization = memberships.c.organization_id == organization
                    query = delete(memberships).where(
                        memberships.c.user_id == user_id, of_organization
                    )
                    await connection.execute(query)
            for organization, membership in given.items():
                await put_membership(connection, user_id, organization, membership)
            await connection.execute(delete(tokens).where(tokens.c.user_id == user_id))
            await audit(connection)
            return await _require(connection, user_id)

    async def end_tokens(
        self, user_id: str, *, now: datetime, audit: Recording = unrecorded
    ) -> None:
        """Delete every token of the user; nothing where there is none."""
        async with self._database.write() as connection:
            await announce(connection, IDENTITY_FEED, CHANGE_KIND, user_id, now)
            await _hold_tokens(connection, user_id)
            query = delete(tokens).where(tokens.c.user_id == user_id)
            if (await connection.execute(query)).rowcount == 0:
                await connection.rollback()
                return
            await audit(connection)

    async def _one(self, condition: ColumnElement[bool]) -> User | None:
        async with self._database.read() as connection:
            found = await find_users(connection, condition)
        return found[0] if found else None


async def _bind(
    connection: AsyncConnection, identity: Identity, user_id: str, now: datetime
) -> None:
    await _require(connection, user_id)
    query = (
        insert(connection, identities)
        .values(issuer=identity.issuer, subject=identity.subject, user_id=user_id, created_at=now)
        .on_conflict_do_nothing()
        .returning(identities.c.user_id)
    )
    if (await connection.execute(query)).first() is None:
        raise Conflict("Somebody else signs in as this user.", code="identity_taken")


async def _hold_tokens(connection: AsyncConnection, user_id: str) -> None:
    """Wait for tokens that are being made for the user, and let no other be made until the
    transaction ends: one would outlive those that it deletes.
    """
    await connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())


async def _require(connection: AsyncConnection, user_id: str) -> User:
    """The user, who stays until the transaction ends: the feed's lock keeps others away."""
    user = await find_user(connection, user_id)
    if user is None:
        raise NotFound(f"There is no user '{user_id}'.", code="user_not_found")
    return user
