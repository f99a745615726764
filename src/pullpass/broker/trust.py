"""Trust rules: whose identity tokens an organization takes, and for which role."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeGuard

from pullpass.broker.audit import Auditor, given_fields
from pullpass.broker.clock import Clock
from pullpass.broker.fields import Fields
from pullpass.broker.identity_fields import read_membership
from pullpass.broker.sessions import Sessions
from pullpass.domain.access import Caller
from pullpass.domain.audit import AuditAction
from pullpass.domain.errors import Conflict, NotFound, PreconditionFailed
from pullpass.domain.identity import Membership, Role
from pullpass.domain.issuers import URL_EXPECTED, issuer_problem, missing_pin
from pullpass.domain.record import ID_EXPECTED, ID_LENGTH, is_id
from pullpass.domain.trust import (
    DEFAULT_LIFETIME,
    LONGEST_LIFETIME,
    RESERVED_CLAIMS,
    ROLES,
    SHORTEST_LIFETIME,
    TrustRule,
    default_audience,
)
from pullpass.store.audit import Recording
from pullpass.store.trust import TrustStore

_FIELDS = ("id", "issuer", "audience", "claims", "role", "cluster", "registries", "lifetime")
_READ_ONLY = ("user_id", "created_at", "created_by")
_WITH_CREDENTIALS = (Role.PULLER, Role.CI, Role.CLUSTER)
_MOST_CLAIMS = 20
_MOST_PATTERNS = 50
_LONGEST_NAME = 200
_PATTERN = re.compile(r"[^\x00-\x1f\x7f]{1,500}")
_PATTERNS_EXPECTED = (
    f"a pattern, or a list of up to {_MOST_PATTERNS}: text in which * is for any characters but "
    "/ and :, and ** for any"
)
_REGISTRY_PATTERN = re.compile(rf"[a-z0-9*-]{{1,{ID_LENGTH}}}")
_ATTEMPTS = 5


class TrustService:
    """Rules are read from the database, also for each exchange, so that a change holds at once."""

    def __init__(self, store: TrustStore, sessions: Sessions, audit: Auditor, clock: Clock) -> None:
        self._audit = audit
        self._store = store
        self._sessions = sessions
        self._clock = clock

    async def rules(self, caller: Caller) -> list[TrustRule]:
        """All of them, by id."""
        return await self._store.rules(caller.organization)

    async def rule(self, caller: Caller, rule_id: str) -> TrustRule:
        """Raises NotFound where the organization has no such rule."""
        found = await self._store.rule(caller.organization, rule_id)
        if found is None:
            raise NotFound(
                f"There is no trust rule '{rule_id[:100]}' in this organization.",
                code="trust_rule_not_found",
            )
        return found

    async def create(self, caller: Caller, body: Mapping[str, object]) -> TrustRule:
        """The new rule, with a user of its own.

        Raises:
            InvalidFields: lists every invalid field.
            Conflict: there is a rule with this id.
        """
        rule = _read(body, caller.organization, str(uuid.uuid4()), self._clock(), caller.user_id)
        audit = self._change(caller, AuditAction.CREATE_TRUST_RULE, rule.id, body)
        return await self._store.create(caller.organization, rule, audit=audit)

    async def change(
        self,
        caller: Caller,
        rule_id: str,
        body: Mapping[str, object],
        expected: str | None = None,
    ) -> TrustRule:
        """The rule after ``body`` was laid over it: what is absent stays, None is the default.
        Tokens that were given under it end. ``expected`` is the version that was changed, where
        it matters.

        Raises:
            InvalidFields: the result would not be valid as a whole.
            PreconditionFailed: the rule has another version than expected.
            NotFound: there is no such rule.
            Conflict: others change it at the same time.
        """
        for _ in range(_ATTEMPTS):
            before = await self.rule(caller, rule_id)
            if expected is not None and str(before.version) != expected:
                raise PreconditionFailed(
                    f"The trust rule '{rule_id}' was changed since you read it. "
                    "Read it again and repeat the change."
                )
            merged = {**_fields_of(before), **body}
            if "role" in body and "cluster" not in body and body["role"] != Role.CLUSTER:
                merged["cluster"] = None
            after = _read(
                merged,
                caller.organization,
                before.user_id,
                before.created_at,
                before.created_by,
                rule_id,
            )
            replaced = await self._store.replace(
                caller.organization,
                dataclasses.replace(after, version=before.version),
                now=self._clock(),
                audit=self._change(caller, AuditAction.UPDATE_TRUST_RULE, rule_id, body),
            )
            if replaced is not None:
                await self._sessions.refresh()
                return replaced
        raise Conflict(
            f"The trust rule '{rule_id}' is being changed by others at the same time. Try again.",
            code="concurrent_change",
        )

    async def delete(self, caller: Caller, rule_id: str) -> None:
        """Remove the rule with its user; its tokens stop on every replica within a second.

        Raises:
            NotFound: there is no such rule.
        """
        while True:
            rule = await self.rule(caller, rule_id)
            audit = self._change(caller, AuditAction.DELETE_TRUST_RULE, rule_id, ())
            if await self._store.delete(caller.organization, rule, now=self._clock(), audit=audit):
                await self._sessions.refresh()
                return

    def _change(
        self, caller: Caller, action: AuditAction, rule_id: str, fields: Iterable[str]
    ) -> Recording:
        return self._audit.change(
            caller.principal,
            [caller.organization],
            action,
            subject_id=rule_id,
            details=given_fields(fields),
        )


def _fields_of(rule: TrustRule) -> dict[str, object]:
    """The rule as a body that would create it."""
    member = rule.membership
    return {
        "id": rule.id,
        "issuer": rule.issuer,
        "audience": rule.audience,
        "claims": {name: list(patterns) for name, patterns in rule.claims.items()},
        "role": member.role,
        "cluster": member.cluster,
        "registries": None if member.registries is None else list(member.registries),
        "lifetime": int(rule.lifetime.total_seconds()),
    }


def _read(
    body: Mapping[str, object],
    organization: str,
    user_id: str,
    created_at: datetime,
    created_by: str,
    fixed_id: str | None = None,
) -> TrustRule:
    fields = Fields(body, known=_FIELDS, ignored=_READ_ONLY)
    rule_id = fields.text("id", None, ID_EXPECTED)
    if rule_id and not is_id(rule_id):
        fields.problem("id", f"is {rule_id[:80]!a}", ID_EXPECTED)
    elif fixed_id not in (None, rule_id):
        fields.problem("id", "cannot be changed", f"'{fixed_id}', or no id")
    issuer = fields.text("issuer", None, URL_EXPECTED)
    if issuer and (problem := issuer_problem(issuer)) is not None:
        fields.problem("issuer", problem, URL_EXPECTED)
    audience = fields.optional_text("audience", None, "the text that tokens have in `aud`")
    claims = _claims(fields, body.get("claims"), issuer)
    membership = read_membership(fields, ROLES)
    registries = _registries(fields, body.get("registries"), membership)
    lifetime = _lifetime(fields, body.get("lifetime"))
    fields.done()
    return TrustRule(
        rule_id,
        user_id,
        issuer,
        audience or default_audience(organization),
        claims,
        dataclasses.replace(membership, registries=registries),
        lifetime,
        created_at,
        created_by,
    )


def _claims(fields: Fields, value: object, issuer: str) -> dict[str, tuple[str, ...]]:
    expected = f"an object of 1 to {_MOST_CLAIMS} claims, each with {_PATTERNS_EXPECTED}"
    if value is None or value == {}:
        fields.problem(
            "claims", "is missing, which would trust all that the issuer signs", expected
        )
        return {}
    if not isinstance(value, dict) or len(value) > _MOST_CLAIMS:
        fields.problem("claims", "is no such object", expected)
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, given in value.items():
        path = f"claims.{name[:80]}"
        patterns = [given] if isinstance(given, str) else given
        if name in RESERVED_CLAIMS or not 0 < len(name) <= _LONGEST_NAME:
            fields.problem(path, "is not for a rule to match", "another claim, like sub")
        elif not _are_texts(patterns, _PATTERN):
            fields.problem(path, "is no such pattern", _PATTERNS_EXPECTED)
        else:
            found[name] = tuple(patterns)
    pins = missing_pin(issuer, found)
    if pins is not None:
        fields.problem(
            "claims",
            f"pin nothing that is yours, and {issuer} signs tokens for everybody",
            "one of " + ", ".join(pins) + " with your own name before any *",
        )
    return found


def _registries(fields: Fields, value: object, membership: Membership) -> tuple[str, ...] | None:
    expected = f"a list of 1 to {_MOST_PATTERNS} ids of records, or patterns with * for them"
    if value is None:
        return None
    if membership.role not in _WITH_CREDENTIALS:
        able = ", ".join(_WITH_CREDENTIALS)
        fields.problem("registries", "is given for a role that gets no credential", able)
    elif not isinstance(value, list) or not _are_texts(value, _REGISTRY_PATTERN):
        fields.problem("registries", "is no such list", expected)
    else:
        return tuple(value)
    return None


def _lifetime(fields: Fields, value: object) -> timedelta:
    if value is None:
        return DEFAULT_LIFETIME
    shortest, longest = (int(t.total_seconds()) for t in (SHORTEST_LIFETIME, LONGEST_LIFETIME))
    if isinstance(value, bool) or not isinstance(value, int) or not shortest <= value <= longest:
        expected = f"seconds, from {shortest} to {longest}"
        fields.problem("lifetime", "is no such number", expected)
        return DEFAULT_LIFETIME
    return timedelta(seconds=value)


def _are_texts(value: object, shape: re.Pattern[str]) -> TypeGuard[list[str]]:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_PATTERNS
        and all(isinstance(item, str) and shape.fullmatch(item) for item in value)
    )
