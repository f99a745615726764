"""Organizations, their users and the users' tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from operator import attrgetter

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import Conflict
from pullpass.domain.identity import Membership, Organization, Role, User
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.changes import IDENTITY_FEED, announce
from pullpass.store.engine import in_chunks
from pullpass.store.schema import memberships, organizations, users
from pullpass.store.tokens import CHANGE_KIND, TokenStore
from pullpass.store.users import (
    find_user,
    find_users,
    insert_user,
    put_membership,
    require_free_email,
    require_organization,
    require_other_admin,
)


class IdentityStore(TokenStore):
    """Each change is announced on the identity feed with the id of the user it is about.

    The feed's row lock, taken first, makes all these changes happen one after the other, so
    that what is checked within a transaction still holds when it commits.
    """

    async def organization(self, organization: str) -> Organization | None:
        found = await self.organizations([organization])
        return found[0] if found else None

    async def organizations(self, ids: Collection[str]) -> list[Organization]:
        """Those of the organizations that are there, ordered by id."""
        found: list[Organization] = []
        async with self._database.read() as connection:
            for chunk in in_chunks(ids):
                query = select(organizations).where(organizations.c.id.in_(chunk))
                found += [Organization(*row) for row in await connection.execute(query)]
        return sorted(found, key=attrgetter("id"))

    async def create_organization(
        self,
        organization: Organization,
        admin: User,
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> None:
        """Create it with ``admin`` as its administrator, who is created where missing.

        Of a user who is there nothing else changes; the memberships of ``admin`` do not count.

        Raises:
            Conflict: `organization_id_taken`, or `email_taken` for a new user.
        """
        async with self._database.write() as connection:
            await _announce(connection, admin.id, now)
            query = select(organizations.c.id).where(organizations.c.id == organization.id)
            if (await connection.execute(query)).first() is not None:
                raise Conflict(
                    f"There is an organization with the id '{organization.id}' already.",
                    code="organization_id_taken",
                    details={"field": "id"},
                )
            await connection.execute(
                insert(organizations).values(
                    id=organization.id,
                    name=organization.name,
                    created_at=organization.created_at,
                    created_by=organization.created_by,
                )
            )
            if await find_user(connection, admin.id) is None:
                await insert_user(connection, admin)
            await put_membership(connection, admin.id, organization.id, Membership(Role.ADMIN))
            await audit(connection)

    async def user(self, user_id: str) -> User | None:
        """The user with all memberships."""
        async with self._database.read() as connection:
            return await find_user(connection, user_id)

    async def members(self, organization: str) -> list[User]:
        """The users of an organization, each with all memberships, by name and then id."""
        of_organization = select(memberships.c.user_id).where(
            memberships.c.organization_id == organization
        )
        async with self._database.read() as connection:
            return await find_users(connection, users.c.id.in_(of_organization))

    async def add_user(self, user: User, *, now: datetime, audit: Recording = unrecorded) -> None:
        """Create a user with its memberships.

        Raises:
            Conflict: `user_id_taken` or `email_taken` (in whatever case).
            NotFound: one of the organizations is not there.
        """
        async with self._database.write() as connection:
            await _announce(connection, user.id, now)
            await insert_user(connection, user)
            for organization, membership in user.memberships.items():
                await require_organization(connection, organization)
                await put_membership(connection, user.id, organization, membership)
            await audit(connection)

    async def update_profile(
        self,
        user_id: str,
        *,
        name: str,
        email: str | None,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> User | None:
        """The user as it is then; None where there is none.

        Raises:
            Conflict: `email_taken`.
        """
        async with self._database.write() as connection:
            await _announce(connection, user_id, now)
            if await find_user(connection, user_id) is None:
                await connection.rollback()
                return None
            await require_free_email(connection, user_id, email)
            change = update(users).where(users.c.id == user_id).values(name=name, email=email)
            await connection.execute(change)
            await audit(connection)
            return await find_user(connection, user_id)

    async def set_membership(
        self,
        user_id: str,
        organization: str,
        membership: Membership,
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> User | None:
        """Add the user to the organization or change its role; None where there is no such user.

        Raises:
            Conflict: `last_admin`.
            NotFound: there is no such organization.
        """
        async with self._database.write() as connection:
            await _announce(connection, user_id, now)
            user = await find_user(connection, user_id)
            if user is None:
                await connection.rollback()
                return None
            await require_organization(connection, organization)
            if organization in user.memberships and membership.role is not Role.ADMIN:
                await require_other_admin(connection, organization, user)
            await put_membership(connection, user_id, organization, membership)
            await audit(connection)
            return await find_user(connection, user_id)

    async def remove_member(
        self, user_id: str, organization: str, *, now: datetime, audit: Recording = unrecorded
    ) -> bool:
        """Whether the membership was removed; False where there was none.

        A user left without any membership is deleted, with its tokens.

        Raises:
            Conflict: `last_admin`.
        """
        async with self._database.write() as connection:
            await _announce(connection, user_id, now)
            user = await find_user(connection, user_id)
            if user is None or organization not in user.memberships:
                await connection.rollback()
                return False
            await require_other_admin(connection, organization, user)
            if len(user.memberships) == 1:
                await connection.execute(delete(users).where(users.c.id == user_id))
            else:
                await connection.execute(
                    delete(memberships).where(
                        memberships.c.user_id == user_id,
                        memberships.c.organization_id == organization,
                    )
                )
            await audit(connection)
        return True


async def _announce(connection: AsyncConnection, user_id: str, now: datetime) -> None:
    await announce(connection, IDENTITY_FEED, CHANGE_KIND, user_id, now)
