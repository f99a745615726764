"""How long an issued token lives, as its upstream says it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

# No registry's token lives longer; a number beyond it is nonsense, or not in seconds.
_LONGEST = timedelta(days=7)


def lifetime(seconds: object) -> timedelta | None:
    """``expires_in`` (RFC 6749 section 5.1), also where it is a string as some write it; None
    where it is no lifetime that a token can have.
    """
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) < 10:
        seconds = int(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if not 1 <= seconds <= _LONGEST.total_seconds():
        return None
    return timedelta(seconds=seconds)


def jwt_expiry(token: str, now: datetime, skew: float) -> datetime | None:
    """When a JWT (RFC 7519) ends by our clock, its signature unchecked: it goes to none but its
    issuer. ``skew`` is by how many seconds the issuer's clock is ahead of ours. None where the
    token does not say its end, or not one that makes sense.
    """
    claims = jwt_claims(token)
    end = claims.get("exp")
    if isinstance(end, bool) or not isinstance(end, int | float):
        return None
    for name in ("iat", "nbf"):
        start = claims.get(name)
        if isinstance(start, int | float) and not isinstance(start, bool):
            life = lifetime(end - start)
            return now + life if life else None
    life = lifetime(end - skew - now.timestamp())
    return now + life if life else None


def jwt_claims(token: str) -> Mapping[str, object]:
    """What a JWT claims, its signature unchecked; nothing where ``token`` is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_")
        claims: object = json.loads(payload)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
