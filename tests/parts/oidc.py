"""An OpenID Connect issuer in miniature: it signs tokens, and whoever trusts it can check them."""

from __future__ import annotations

import time

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

_ALGORITHM = "ES256"


class OidcIssuer:
    def __init__(self, url: str = "https://issuer.example") -> None:
        self.url = url
        self._key = ECKey.generate_key("P-256", {"kid": "one"}, private=True)

    def token(
        self,
        subject: str,
        audience: str,
        *,
        lifetime: float = 600,
        skew: float = 0,
        issuer: str | None = None,
    ) -> str:
        """A token for ``subject``; ``skew``: by how many seconds this issuer's clock is ahead."""
        now = int(time.time() + skew)
        claims = {
            "iss": issuer or self.url,
            "sub": subject,
            "aud": [audience],
            "iat": now,
            "exp": now + int(lifetime),
        }
        return jwt.encode({"alg": _ALGORITHM, "kid": "one"}, claims, self._key)

    def subject(self, token: str, audience: str | None, now: float, leeway: int) -> str | None:
        """Who a token is for; None where its signature, issuer, audience or time is wrong.
        Without ``audience``, any will do.
        """
        rules = jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=leeway,
            iss={"essential": True, "value": self.url},
            sub={"essential": True},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            rules.validate(claims)
        except (JoseError, ValueError):
            return None
        return str(claims["sub"]) if audience is None or audience in claims["aud"] else None
