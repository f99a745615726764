"""From an identity token of a trusted issuer to a short-lived token of Pullpass."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from pullpass.broker.attempts import FailedAttempts
from pullpass.broker.audit import Auditor
from pullpass.broker.clock import Clock
from pullpass.domain import timestamp
from pullpass.domain import token as token_format
from pullpass.domain.access import Caller
from pullpass.domain.audit import AuditAction
from pullpass.domain.credential import Secret
from pullpass.domain.errors import ExchangeRequestRefused, Unavailable
from pullpass.domain.identity import (
    ORGANIZATION_ID,
    ORGANIZATION_ID_LENGTH,
    Origin,
    Principal,
    TokenInfo,
    User,
    UserType,
)
from pullpass.domain.trust import TrustRule, why_not
from pullpass.exchange.failure import IdentityTokenRefused, IssuerUnavailable
from pullpass.exchange.oidc import Issuers
from pullpass.store.trust import TrustStore

# How many rules a line of the log says it for.
_TOLD = 10
# More than of unknown tokens: a pipeline begins many jobs at once, all behind one address, and a
# mistake in its rule must not shut out the others there.
MOST_REFUSED = 300

_log = structlog.get_logger("pullpass.federation")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A token of Pullpass, its life in seconds, and the rule that it was given under."""

    token: Secret = field(repr=False)
    seconds: int
    rule_id: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What would come of a token: the rule that it comes under and no ``problem``, or the
    problem; and for each rule, why the token does not come under it (None: it does).
    """

    rule_id: str | None
    problem: str | None
    reasons: Sequence[tuple[str, str | None]]


class FederationService:
    """Nothing is fetched from anywhere before the token, taken at its word, comes under a rule:
    who cannot name an issuer, an audience and the claims of a rule moves nothing.
    """

    def __init__(self, store: TrustStore, issuers: Issuers, audit: Auditor, clock: Clock) -> None:
        self._audit = audit
        self._store = store
        self._issuers = issuers
        self._clock = clock
        self._attempts = FailedAttempts(MOST_REFUSED)

    async def exchange(
        self,
        organization: str,
        identity_token: Secret,
        rule_id: str | None,
        origin: Origin | None = None,
    ) -> Exchanged:
        """A token for whoever ``identity_token`` is about, by the first rule of the organization,
        in the order of their ids, that it comes under; by ``rule_id`` alone where that is given.

        Raises:
            ExchangeRequestRefused: `invalid_grant`, whatever the reason: who asks must not learn
                which organizations and rules there are. The log has it.
            TooManyAttempts: too many from the address of ``origin`` were refused.
            Unavailable: the issuer's keys cannot be had (`issuer_unavailable`).
            StoreUnavailable: the database does not answer.
        """
        now = self._clock()
        address = None if origin is None else origin.address
        self._attempts.require(address, now)
        try:
            return await self._exchange(organization, identity_token, rule_id, origin, now)
        except IdentityTokenRefused as error:
            self._attempts.failed(address, now)
            _log.info("token exchange refused", organization=organization[:64], reason=error.reason)
            raise ExchangeRequestRefused(
                "The identity token comes under no trust rule of this organization, or is not "
                "valid. The log of the server says why.",
                code="invalid_grant",
            ) from None
        except IssuerUnavailable as error:
            _log.warning("token exchange failed", organization=organization, reason=error.reason)
            raise Unavailable(
                "The keys of the issuer cannot be fetched now. Try again later; the log of the "
                "server says why.",
                retry_after=error.retry_after,
                code="issuer_unavailable",
            ) from None

    async def test(self, caller: Caller, identity_token: Secret) -> Trial:
        """What would come of ``identity_token`` now, and why. No token is given.

        Raises StoreUnavailable where the database does not answer.
        """
        rules = await self._store.rules(caller.organization)
        try:
            token = self._issuers.read(identity_token, self._clock())
        except IdentityTokenRefused as error:
            return Trial(None, f"The token is not taken: {error.reason}.", ())
        reasons = list((await _reasons(rules, token.claims)).items())
        matching = [rule_id for rule_id, reason in reasons if reason is None]
        if not matching:
            return Trial(None, "The token comes under no rule.", reasons)
        try:
            await self._issuers.verify(token)
        except (IdentityTokenRefused, IssuerUnavailable) as error:
            return Trial(None, f"The token cannot be trusted: {error.reason}", reasons)
        return Trial(matching[0], None, reasons)

    async def _exchange(
        self,
        organization: str,
        identity_token: Secret,
        rule_id: str | None,
        origin: Origin | None,
        now: datetime,
    ) -> Exchanged:
        token = self._issuers.read(identity_token, now)
        rules = await self._rules(organization, rule_id)
        reasons = await _reasons(rules, token.claims)
        matching = [rule for rule in rules if reasons[rule.id] is None]
        if not matching:
            told = [f"by the rule '{name}', {reason}" for name, reason in reasons.items()]
            raise IdentityTokenRefused("; ".join(told[:_TOLD]) or "no such rule, or organization")
        await self._issuers.verify(token)
        rule = matching[0]
        secret = token_format.generate()
        info = TokenInfo(
            rule.user_id,
            f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(8)}",
            f"By the trust rule '{rule.id}'",
            now,
            rule.user_id,
            now + rule.lifetime,
            token.subject,
        )
        digest = token_format.digest(secret.reveal())
        user = User(
            rule.user_id,
            f"trust:{rule.id}",
            UserType.SYSTEM,
            rule.created_at,
            memberships={organization: rule.membership},
        )
        audit = self._audit.change(
            Principal(user, info.id, info.expires_at, token.subject, origin),
            [organization],
            AuditAction.EXCHANGE_TOKEN,
            subject_id=rule.id,
            details={"expires": timestamp.render(now + rule.lifetime)},
        )
        if not await self._store.issue(organization, rule, info, digest, audit=audit):
            raise IdentityTokenRefused(f"the rule '{rule.id}' was changed meanwhile")
        _log.info(
            "token exchanged",
            organization=organization,
            rule=rule.id,
            user=rule.user_id,
            token_id=info.id,
            subject=token.subject,
        )
        return Exchanged(secret, int(rule.lifetime.total_seconds()), rule.id)

    async def _rules(self, organization: str, rule_id: str | None) -> list[TrustRule]:
        # Nothing else is an id, and PostgreSQL would not even take a NUL.
        if len(organization) > ORGANIZATION_ID_LENGTH or not ORGANIZATION_ID.fullmatch(
            organization
        ):
            return []
        rules = await self._store.rules(organization)
        return [rule for rule in rules if rule_id in (None, rule.id)]


async def _reasons(
    rules: Sequence[TrustRule], claims: Mapping[str, object]
) -> dict[str, str | None]:
    """For each rule, by its id, why a token with ``claims`` does not come under it."""
    found = {}
    for rule in rules:
        found[rule.id] = why_not(rule, claims)
        # One organization's many rules must not keep the others waiting.
        await asyncio.sleep(0)
    return found
