"""Reading users with their memberships, and the rules for changing them within a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.access import organization_not_found
from pullpass.domain.errors import Conflict
from pullpass.domain.identity import Membership, Role, User, UserType
from pullpass.store import engine
from pullpass.store.schema import memberships, organizations, users


async def find_users(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> list[User]:
    """The users for whom ``conditions`` hold, with all memberships, by name and then id."""
    query = with_memberships(select(users)).where(*conditions)
    query = query.order_by(users.c.name, users.c.id, memberships.c.organization_id)
    return users_of(await connection.execute(query))


async def find_user(connection: AsyncConnection, user_id: str) -> User | None:
    found = await find_users(connection, users.c.id == user_id)
    return found[0] if found else None


def with_memberships(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Adds to a query on users one row for each membership, as :func:`users_of` reads them."""
    return query.add_columns(
        memberships.c.organization_id,
        memberships.c.role,
        memberships.c.cluster,
        memberships.c.registries,
    ).join_from(users, memberships, memberships.c.user_id == users.c.id, isouter=True)


def users_of(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[User]:
    """One user for each run of rows with the same user id."""
    found: dict[str, tuple[Row[*tuple[Any, ...]], dict[str, Membership]]] = {}
    for row in rows:
        _, of_user = found.setdefault(row.id, (row, {}))
        if row.organization_id is not None:
            of_user[row.organization_id] = membership_of(row)
    return [
        User(
            id=row.id,
            name=row.name,
            type=UserType(row.type),
            created_at=row.created_at,
            email=row.email,
            memberships=MappingProxyType(of_user),
        )
        for row, of_user in found.values()
    ]


def membership_of(row: Row[*tuple[Any, ...]]) -> Membership:
    """What the columns of a membership in ``row`` say."""
    registries = None if row.registries is None else tuple(json.loads(row.registries))
    return Membership(Role(row.role), row.cluster, registries)


async def insert_user(connection: AsyncConnection, user: User) -> None:
    """Insert the user without its memberships.

    Raises:
        Conflict: `user_id_taken` or `email_taken`.
    """
    if await find_user(connection, user.id) is not None:
        raise Conflict(
            f"There is a user with the id '{user.id}' already.",
            code="user_id_taken",
            details={"field": "id"},
        )
    await require_free_email(connection, user.id, user.email)
    await connection.execute(
        insert(users).values(
            id=user.id,
            name=user.name,
            type=user.type.value,
            email=user.email,
            created_at=user.created_at,
        )
    )


async def put_membership(
    connection: AsyncConnection, user_id: str, organization: str, membership: Membership
) -> None:
    registries = membership.registries
    granted = {
        "role": membership.role.value,
        "cluster": membership.cluster,
        "registries": None if registries is None else json.dumps(registries),
    }
    await connection.execute(
        engine.insert(connection, memberships)
        .values(organization_id=organization, user_id=user_id, **granted)
        .on_conflict_do_update(
            index_elements=[memberships.c.organization_id, memberships.c.user_id], set_=granted
        )
    )


def has_email(email: str) -> ColumnElement[bool]:
    """That a user has this address, in whatever case."""
    # Lower case for A to Z alone, as the databases do it here (see the index in the schema).
    return func.lower(users.c.email) == email.encode().lower().decode()


async def require_free_email(connection: AsyncConnection, user_id: str, email: str | None) -> None:
    """Refuse an e-mail address that another user has, in whatever case.

    Raises:
        Conflict: `email_taken`.
    """
    if email is None:
        return
    query = select(users.c.id).where(has_email(email), users.c.id != user_id)
    if (await connection.execute(query)).first() is not None:
        raise Conflict(
            "Another user has this e-mail address.", code="email_taken", details={"field": "email"}
        )


async def require_organization(connection: AsyncConnection, organization: str) -> None:
    """Refuse an organization that is not there.

    Raises:
        NotFound: `organization_not_found`.
    """
    query = select(organizations.c.id).where(organizations.c.id == organization)
    if (await connection.execute(query)).first() is None:
        raise organization_not_found(organization)


async def require_other_admin(connection: AsyncConnection, organization: str, user: User) -> None:
    """Refuse to take the role of ``user`` away where no other administrator is left.

    Raises:
        Conflict: `last_admin`.
    """
    if user.memberships[organization].role is not Role.ADMIN:
        return
    query = select(memberships.c.user_id).where(
        memberships.c.organization_id == organization,
        memberships.c.role == Role.ADMIN.value,
        memberships.c.user_id != user.id,
    )
    if (await connection.execute(query.limit(1))).first() is None:
        raise Conflict(
            f"'{user.id}' is the last administrator of '{organization}': "
            "make another member an administrator first.",
            code="last_admin",
            details={"user_id": user.id},
        )
