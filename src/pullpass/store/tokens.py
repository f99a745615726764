"""API tokens: only their digests are stored (see ``pullpass.domain.token``)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain.errors import Conflict, NotFound, Unauthenticated
from pullpass.domain.identity import Principal, TokenInfo, User
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.changes import IDENTITY_FEED, announce
from pullpass.store.engine import Database, insert
from pullpass.store.schema import tokens, users
from pullpass.store.users import find_user, users_of, with_memberships

CHANGE_KIND = "user"
_COLUMNS = (
    tokens.c.user_id,
    tokens.c.id,
    tokens.c.description,
    tokens.c.created_at,
    tokens.c.created_by,
    tokens.c.expires_at,
    tokens.c.subject,
)


class TokenStore:
    """Deleting a token is announced as a change of its user; a new one is simply looked up.

    ``audit`` adds to a change what is written with it, in its transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_token(self, digest: str) -> tuple[TokenInfo, User] | None:
        """The token of that digest, expired or not, and the user it belongs to."""
        labelled = [column.label(f"token_{column.name}") for column in _COLUMNS]
        query = (
            with_memberships(select(users, *labelled))
            .join(tokens, tokens.c.user_id == users.c.id)
            .where(tokens.c.digest == digest)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return None
        info = TokenInfo(*(rows[0]._mapping[label] for label in labelled))
        return info, users_of(rows)[0]

    async def tokens(self, user_id: str) -> list[TokenInfo]:
        """The tokens of a user, ordered by id."""
        query = select(*_COLUMNS).where(tokens.c.user_id == user_id).order_by(tokens.c.id)
        async with self._database.read() as connection:
            return _infos(await connection.execute(query))

    async def token(self, user_id: str, token_id: str) -> TokenInfo | None:
        query = select(*_COLUMNS).where(tokens.c.user_id == user_id, tokens.c.id == token_id)
        async with self._database.read() as connection:
            found = _infos(await connection.execute(query))
        return found[0] if found else None

    async def create_token(
        self,
        info: TokenInfo,
        digest: str,
        *,
        now: datetime,
        seen: User | None = None,
        by: Principal | None = None,
        audit: Recording = unrecorded,
    ) -> None:
        """Store a token by its digest. ``seen``: the owner, as whoever allowed it has seen them;
        ``by``: who makes it, whose own token must be there still.

        Raises:
            Conflict: `token_id_taken`; `concurrent_change`, where the owner's memberships are
                others now.
            NotFound: `user_not_found`.
            Unauthenticated: the token of ``by`` was revoked.
        """
        async with self._database.write() as connection:
            # The lock keeps the user from being deleted meanwhile (SQLite has it anyway).
            owner = select(users.c.id).where(users.c.id == info.user_id)
            locked = await connection.execute(owner.with_for_update(read=True, key_share=True))
            if locked.first() is None:
                raise NotFound(f"There is no user '{info.user_id}'.", code="user_not_found")
            await _require_as_seen(connection, info.user_id, seen)
            await _require_token(connection, by)
            if not await insert_token(connection, info, digest):
                raise Conflict(
                    f"The user has a token with the id '{info.id}' already.",
                    code="token_id_taken",
                    details={"field": "id"},
                )
            await audit(connection)

    async def delete_token(
        self, user_id: str, token_id: str, *, now: datetime, audit: Recording = unrecorded
    ) -> bool:
        """Whether it was deleted; False where there is none."""
        async with self._database.write() as connection:
            await announce(connection, IDENTITY_FEED, CHANGE_KIND, user_id, now)
            query = delete(tokens).where(tokens.c.user_id == user_id, tokens.c.id == token_id)
            if (await connection.execute(query)).rowcount == 0:
                await connection.rollback()
                return False
            await audit(connection)
        return True

    async def purge_expired_tokens(self, before: datetime, exchanged_before: datetime) -> int:
        """Delete the tokens that expired before ``before``, and of those that were given for an
        identity token the ones that did before ``exchanged_before``; returns how many.

        Not announced: an expired token is refused by its time, wherever it is remembered.
        """
        async with self._database.write() as connection:
            query = delete(tokens).where(
                (tokens.c.expires_at < before)
                | ((tokens.c.expires_at < exchanged_before) & tokens.c.subject.is_not(None))
            )
            return (await connection.execute(query)).rowcount


async def _require_as_seen(connection: AsyncConnection, user_id: str, seen: User | None) -> None:
    """Else a token that an administrator of the one organization may make would be good in another,
    of which the user has become a member meanwhile.
    """
    if seen is None:
        return
    found = await find_user(connection, user_id)
    if found is None or dict(found.memberships) != dict(seen.memberships):
        raise Conflict(
            f"The memberships of the user '{user_id}' are being changed at the same time. "
            "Try again.",
            code="concurrent_change",
        )


async def _require_token(connection: AsyncConnection, by: Principal | None) -> None:
    if by is None:
        return
    own = (tokens.c.user_id == by.user.id) & (tokens.c.id == by.token_id)
    if (await connection.execute(select(tokens.c.id).where(own))).first() is None:
        raise Unauthenticated("The token is unknown or was revoked.", code="invalid_token")


async def insert_token(connection: AsyncConnection, info: TokenInfo, digest: str) -> bool:
    """Whether it was inserted; False where the user has a token with this id."""
    query = (
        insert(connection, tokens)
        .values(
            user_id=info.user_id,
            id=info.id,
            digest=digest,
            description=info.description,
            created_at=info.created_at,
            created_by=info.created_by,
            expires_at=info.expires_at,
            subject=info.subject,
        )
        .on_conflict_do_nothing(index_elements=[tokens.c.user_id, tokens.c.id])
        .returning(tokens.c.id)
    )
    return (await connection.execute(query)).first() is not None


def _infos(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[TokenInfo]:
    return [TokenInfo(*row) for row in rows]
