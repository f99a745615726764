"""Trust rules: which identity tokens stand for which role in an organization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pullpass.domain import glob
from pullpass.domain.identity import Membership, Role

# Like a job's own token: whoever steals it has little time. A build may take longer than that
# token lives, so its end does not bound ours (see docs/decisions/0010-federation.md).
DEFAULT_LIFETIME = timedelta(minutes=15)
SHORTEST_LIFETIME = timedelta(minutes=1)
LONGEST_LIFETIME = timedelta(hours=1)
# What an administrator may do must be done by somebody.
ROLES = tuple(role for role in Role if role is not Role.ADMIN)
# The fields of a rule, or checked in any case.
RESERVED_CLAIMS = frozenset({"iss", "aud", "exp", "nbf", "iat"})
# Whoever writes a token does not decide how long it takes to compare.
_LONGEST_VALUE = 2000
_MOST_VALUES = 500
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class TrustRule:
    """``claims`` maps the name of a claim to patterns (see ``pullpass.domain.glob``) of which one
    has to match. Who comes by this rule is the user ``user_id``, with ``membership``.
    """

    id: str
    user_id: str
    issuer: str
    audience: str
    claims: Mapping[str, Sequence[str]]
    membership: Membership
    lifetime: timedelta
    created_at: datetime
    created_by: str
    version: int = 0


def default_audience(organization: str) -> str:
    """No token is meant for it by chance, and none for one organization serves another."""
    return f"pullpass:{organization}"


def why_not(rule: TrustRule, claims: Mapping[str, object]) -> str | None:
    """Why a token with ``claims`` does not come under ``rule``; None where it does.

    A claim that is a list matches by any of its items; numbers and truth values match as JSON
    writes them.
    """
    if claims.get("iss") != rule.issuer:
        return f"its issuer is {_shown(claims.get('iss'))}, not {rule.issuer!r}"
    audiences = _texts(claims.get("aud"))
    if rule.audience not in audiences:
        return f"its audience is {_shown(claims.get('aud'))}, not {rule.audience!r}"
    # OpenID Connect Core 1.0 section 2: with several audiences, whom it was issued to.
    if len(audiences) > 1 and claims.get("azp", rule.audience) != rule.audience:
        return f"it was issued to {_shown(claims.get('azp'))}, for several audiences"
    for name, patterns in rule.claims.items():
        if name not in claims:
            return f"it has no claim {name!r}"
        texts = [text for text in _texts(claims[name]) if len(text) <= _LONGEST_VALUE]
        if not any(glob.matches_any(patterns, text) for text in texts):
            expected = " or ".join(repr(pattern) for pattern in patterns)
            return f"its claim {name!r} is {_shown(claims[name])}, not {expected}"
    return None


def _texts(value: object) -> list[str]:
    items = value[:_MOST_VALUES] if isinstance(value, list) else [value]
    found = []
    for item in items:
        if isinstance(item, bool):
            found.append("true" if item else "false")
        elif isinstance(item, (str, int)):
            found.append(str(item))
    return found


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
