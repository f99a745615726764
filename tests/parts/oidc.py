"""An OpenID Connect issuer in miniature: it signs tokens, and whoever trusts it can check them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.parts.certificates import Certificates
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

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


def new_key(kid: str = "one", kind: str = "ES256") -> Key:
    """A signing key for the algorithm ``kind``."""
    parameters: KeyParameters = {"kid": kid}
    if kind.startswith("ES"):
        curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[kind]
        return ECKey.generate_key(curve, parameters, private=True)
    if kind.startswith("Ed"):
        return OKPKey.generate_key("Ed25519", parameters, private=True)
    return RSAKey.generate_key(2048, parameters, private=True)


class IssuerServer(StandIn):
    """An issuer at its own address, with a discovery document and a set of keys.

    ``keys``: those that it shows, and signs with the first of; ``entries``: what stands in the set
    besides. ``suffix``: what its name has after the address. ``document``: what differs in its
    discovery document.
    """

    def __init__(self, certificates: Certificates | None = None, suffix: str = "") -> None:
        self.keys: list[Key] = [new_key()]
        self.entries: list[Mapping[str, Any]] = []
        self.suffix = suffix
        self.document: dict[str, object] = {}
        super().__init__(certificates)

    @property
    def name(self) -> str:
        return self.url + self.suffix

    def asked(self, path: str = "/keys") -> int:
        """How often it was asked for this."""
        return sum(call.target == path for call in self.calls)

    def handle(self, request: Received) -> Scripted:
        if request.target == self.suffix.rstrip("/") + "/.well-known/openid-configuration":
            return answer({"issuer": self.name, "jwks_uri": f"{self.url}/keys"} | self.document)
        if request.target == "/keys":
            public = [key.as_dict(private=False) for key in self.keys]
            return answer({"keys": [*self.entries, *public]})
        return answer({"error": "not found"}, 404)

    def claims(self, **changes: object) -> dict[str, object]:
        """Those of a job of acme/app on its main branch; a change to None leaves one out."""
        now = int(self.time())
        claims: dict[str, object] = {
            "iss": self.name,
            "sub": "repo:acme/app:ref:refs/heads/main",
            "aud": "pullpass:acme",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "repository": "acme/app",
            "ref": "refs/heads/main",
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self,
        *,
        key: Key | None = None,
        header: Mapping[str, object] | None = None,
        **changes: object,
    ) -> str:
        key = key or self.keys[0]
        algorithm = {"EC": "ES256", "OKP": "Ed25519", "RSA": "RS256", "oct": "HS256"}[key.key_type]
        fields = {"alg": algorithm, "kid": key.kid} | dict(header or {})
        registry = JWSRegistry(algorithms=[str(fields["alg"])], strict_check_header=False)
        present = {name: value for name, value in fields.items() if value is not None}
        with warnings.catch_warnings():
            # It advises against some that issuers use, and against those of an attacker.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(present, self.claims(**changes), key, registry=registry)
