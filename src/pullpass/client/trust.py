"""Trust rules, and a token for an identity token: requests, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from urllib.parse import urlencode

from pullpass.client import wire
from pullpass.client.fields import Fields, decode, each
from pullpass.client.secret import Secret
from pullpass.client.wire import Operation, Request, path

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"


class TrustRuleFields(TypedDict, total=False):
    """A trust rule as it is written: creating needs id, issuer, claims and role.

    In an update, what is absent stays and None is the default. ``lifetime`` is in seconds.
    """

    id: str
    issuer: str
    audience: str | None
    claims: Mapping[str, str | Sequence[str]]
    role: str
    cluster: str | None
    registries: Sequence[str] | None
    lifetime: int | None


@dataclass(frozen=True, slots=True)
class TrustRule:
    """``user_id`` is the user that its tokens belong to; ``lifetime`` is in seconds."""

    id: str
    issuer: str
    audience: str
    claims: Mapping[str, tuple[str, ...]]
    role: str
    lifetime: int
    user_id: str
    cluster: str | None = None
    registries: tuple[str, ...] | None = None
    created_at: datetime | None = None
    created_by: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> TrustRule:
        names = fields.raw("claims") or {}
        claims = fields.child("claims") if names else None
        return cls(
            id=fields.text("id"),
            issuer=fields.text("issuer"),
            audience=fields.text("audience"),
            claims={} if claims is None else {name: claims.texts(name) for name in names},
            role=fields.text("role"),
            lifetime=int(fields.number("lifetime")),
            user_id=fields.text("user_id"),
            cluster=fields.optional_text("cluster"),
            registries=fields.texts("registries") if "registries" in fields else None,
            created_at=fields.moment("created_at"),
            created_by=fields.optional_text("created_by"),
        )


@dataclass(frozen=True, slots=True)
class TrustTestRule:
    """Whether an identity token comes under a rule, and why not."""

    id: str
    matches: bool
    reason: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> TrustTestRule:
        return cls(fields.text("id"), fields.truth("matches"), fields.optional_text("reason"))


@dataclass(frozen=True, slots=True)
class TrustTest:
    """The rule that an identity token comes under, or the problem with it."""

    ok: bool
    rule: str | None = None
    problem: str | None = None
    rules: tuple[TrustTestRule, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> TrustTest:
        return cls(
            fields.truth("ok"),
            fields.optional_text("rule"),
            fields.optional_text("problem"),
            fields.each("rules", TrustTestRule.read),
        )


@dataclass(frozen=True, slots=True)
class ExchangedToken:
    """A token that lives ``expires_in`` seconds; ``scope`` is the rule that it was given under."""

    access_token: Secret
    token_type: str
    expires_in: int
    scope: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> ExchangedToken:
        return cls(
            Secret(fields.text("access_token")),
            fields.text("token_type"),
            int(fields.number("expires_in")),
            fields.optional_text("scope"),
        )


def list_rules(organization: str) -> Operation[tuple[TrustRule, ...]]:
    return wire.get(
        _rules(organization), {}, lambda answer: each(decode(answer.body), TrustRule.read)
    )


def get_rule(organization: str, rule_id: str) -> Operation[TrustRule]:
    return wire.get(_rules(organization, rule_id), {}, wire.one(TrustRule.read))


def create_rule(organization: str, fields: TrustRuleFields) -> Operation[TrustRule]:
    return wire.send("POST", _rules(organization), fields, wire.one(TrustRule.read))


def update_rule(organization: str, rule_id: str, fields: TrustRuleFields) -> Operation[TrustRule]:
    """The tokens that were given under the rule end."""
    return wire.send("PATCH", _rules(organization, rule_id), fields, wire.one(TrustRule.read))


def delete_rule(organization: str, rule_id: str) -> Operation[None]:
    return wire.delete(_rules(organization, rule_id))


def test_rules(organization: str, identity_token: Secret) -> Operation[TrustTest]:
    """Which rule ``identity_token`` comes under, and why not. Gives no token."""
    body = {"token": identity_token}
    target = _rules(organization, "actions", "test")
    return wire.send("POST", target, body, wire.one(TrustTest.read), repeatable=True)


def exchange_token(
    organization: str, identity_token: Secret, *, rule: str | None = None
) -> Operation[ExchangedToken]:
    """A token for an identity token (RFC 8693), by ``rule`` or the first that it comes under.

    It needs no other token.
    """
    form = {
        "grant_type": _GRANT,
        "subject_token": identity_token.reveal(),
        "subject_token_type": _JWT,
        "audience": organization,
    }
    if rule is not None:
        form["scope"] = rule
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    # Sent twice, it gives two tokens, of which the one that is not seen ends by itself.
    request = Request("POST", path("token"), urlencode(form).encode(), headers, repeatable=True)
    return Operation(request, wire.one(ExchangedToken.read))


def _rules(organization: str, *rest: str) -> str:
    return path("orgs", organization, "trust-rules", *rest)
