"""Trust rules, the users behind them, and the tokens that these get."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from pullpass.domain.errors import Conflict
from pullpass.domain.identity import TokenInfo, User, UserType
from pullpass.domain.trust import TrustRule
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.changes import IDENTITY_FEED, announce
from pullpass.store.engine import Database
from pullpass.store.schema import memberships, tokens, trust_rules, users
from pullpass.store.tokens import CHANGE_KIND, insert_token
from pullpass.store.users import insert_user, membership_of, put_membership, require_organization


class TrustStore:
    """A rule's user comes and goes with it. Each change of a rule ends the tokens that were given
    under it, and is announced as a change of its user, so that every replica forgets them.
    ``audit`` adds to a change what is written with it, in its transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rules(self, organization: str) -> list[TrustRule]:
        """The rules of the organization, by id."""
        return await self._find(trust_rules.c.organization_id == organization)

    async def rule(self, organization: str, rule_id: str) -> TrustRule | None:
        found = await self._find(*_key(organization, rule_id))
        return found[0] if found else None

    async def create(
        self, organization: str, rule: TrustRule, *, audit: Recording = unrecorded
    ) -> TrustRule:
        """Store the rule with a new user, ``rule.user_id``; returns it with its version.

        Raises:
            Conflict: `trust_rule_id_taken`.
            NotFound: there is no such organization.
        """
        async with self._database.write() as connection:
            version = await announce(
                connection, IDENTITY_FEED, CHANGE_KIND, rule.user_id, rule.created_at
            )
            await require_organization(connection, organization)
            query = select(trust_rules.c.id).where(*_key(organization, rule.id))
            if (await connection.execute(query)).first() is not None:
                raise Conflict(
                    f"There is a trust rule with the id '{rule.id}' already.",
                    code="trust_rule_id_taken",
                    details={"field": "id"},
                )
            user = User(rule.user_id, f"trust:{rule.id}", UserType.SYSTEM, rule.created_at)
            await insert_user(connection, user)
            await put_membership(connection, user.id, organization, rule.membership)
            await connection.execute(
                insert(trust_rules).values(
                    organization_id=organization,
                    id=rule.id,
                    user_id=rule.user_id,
                    created_at=rule.created_at,
                    created_by=rule.created_by,
                    version=version,
                    **_changeable(rule),
                )
            )
            await audit(connection)
        return dataclasses.replace(rule, version=version)

    async def replace(
        self,
        organization: str,
        rule: TrustRule,
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> TrustRule | None:
        """Overwrite the rule where it still has the version of ``rule``, else None; the tokens
        that were given under it end.
        """
        async with self._database.write() as connection:
            version = await announce(connection, IDENTITY_FEED, CHANGE_KIND, rule.user_id, now)
            query = (
                update(trust_rules)
                .where(*_key(organization, rule.id), trust_rules.c.version == rule.version)
                .values(version=version, **_changeable(rule))
            )
            if (await connection.execute(query)).rowcount == 0:
                await connection.rollback()
                return None
            await put_membership(connection, rule.user_id, organization, rule.membership)
            await connection.execute(delete(tokens).where(tokens.c.user_id == rule.user_id))
            await audit(connection)
        return dataclasses.replace(rule, version=version)

    async def delete(
        self,
        organization: str,
        rule: TrustRule,
        *,
        now: datetime,
        audit: Recording = unrecorded,
    ) -> bool:
        """Whether it was deleted, with its user and tokens; False where it is gone."""
        async with self._database.write() as connection:
            await announce(connection, IDENTITY_FEED, CHANGE_KIND, rule.user_id, now)
            query = delete(trust_rules).where(
                *_key(organization, rule.id), trust_rules.c.user_id == rule.user_id
            )
            if (await connection.execute(query)).rowcount == 0:
                await connection.rollback()
                return False
            await connection.execute(delete(users).where(users.c.id == rule.user_id))
            await audit(connection)
        return True

    async def issue(
        self,
        organization: str,
        rule: TrustRule,
        info: TokenInfo,
        digest: str,
        *,
        audit: Recording = unrecorded,
    ) -> bool:
        """Whether the token was stored; False where the rule is gone, or no more as it was read."""
        async with self._database.write() as connection:
            # The lock lets a change of the rule wait, which then finds the token and ends it.
            query = select(trust_rules.c.id).where(
                *_key(organization, rule.id), trust_rules.c.version == rule.version
            )
            if (await connection.execute(query.with_for_update(read=True))).first() is None:
                return False
            stored = await insert_token(connection, info, digest)
            if stored:
                await audit(connection)
            return stored

    async def _find(self, *conditions: ColumnElement[bool]) -> list[TrustRule]:
        query = (
            select(
                trust_rules,
                memberships.c.role,
                memberships.c.cluster,
                memberships.c.registries,
            )
            .join(
                memberships,
                (memberships.c.user_id == trust_rules.c.user_id)
                & (memberships.c.organization_id == trust_rules.c.organization_id),
            )
            .where(*conditions)
            .order_by(trust_rules.c.id)
        )
        async with self._database.read() as connection:
            return [_rule(row) for row in await connection.execute(query)]


def _key(organization: str, rule_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return trust_rules.c.organization_id == organization, trust_rules.c.id == rule_id


def _changeable(rule: TrustRule) -> dict[str, object]:
    return {
        "issuer": rule.issuer,
        "audience": rule.audience,
        "claims": json.dumps({name: list(patterns) for name, patterns in rule.claims.items()}),
        "lifetime": int(rule.lifetime.total_seconds()),
    }


def _rule(row: Row[*tuple[Any, ...]]) -> TrustRule:
    return TrustRule(
        id=row.id,
        user_id=row.user_id,
        issuer=row.issuer,
        audience=row.audience,
        claims={name: tuple(patterns) for name, patterns in json.loads(row.claims).items()},
        membership=membership_of(row),
        lifetime=timedelta(seconds=row.lifetime),
        created_at=row.created_at,
        created_by=row.created_by,
        version=row.version,
    )
