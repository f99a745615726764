"""A Quay in miniature: what it does for federated robots, checked as Quay checks it.

After endpoints/oauth/robot_identity_federation.py and util/security/federated_robot_auth.py of
https://github.com/quay/quay.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import cache

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tests.parts.certificates import Certificates
from tests.parts.oidc import OidcIssuer
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

_PATH = "/oauth2/federation/robot/token"
_LEEWAY = 30


@dataclass(frozen=True, slots=True)
class Federation:
    """Whose tokens may act for a robot; ``audience`` None: not looked at, as in older Quays."""

    issuer: OidcIssuer
    subject: str
    audience: str | None


class QuayServer(StandIn):
    """``robots``: which are federated, by name. ``lifetime``: of its tokens, in seconds.
    ``opaque``: tokens that are no JWT. ``crashes``: refusals as a 500, for that is what becomes of
    the exceptions in Quay's own source.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.robots: dict[str, Federation] = {}
        self.lifetime = 3600.0
        self.opaque = False
        self.crashes = False
        self._key = _signing_key()
        super().__init__(certificates)

    def accepts(self, username: str, password: str) -> bool:
        """Whether these log in to the registry now."""
        try:
            claims = jwt.decode(password, self._key, algorithms=["RS256"]).claims
            jwt.JWTClaimsRegistry(
                now=int(self.time()),
                leeway=_LEEWAY,
                aud={"essential": True, "value": self.authority},
                exp={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError):
            return False
        return bool(claims["sub"] == username)

    def handle(self, request: Received) -> Scripted:
        if request.method != "GET" or request.target != _PATH:
            return answer({"error": "Not found"}, 404)
        robot, token = _basic(request.headers.get("authorization", ""))
        if "+" not in robot:
            return answer({"error": "Invalid robot"}, 401)
        federation = self.robots.get(robot)
        if federation is None or federation.subject != federation.issuer.subject(
            token, federation.audience, self.time(), _LEEWAY
        ):
            if self.crashes:
                return Scripted(500, b"<h1>Internal Server Error</h1>")
            return answer({"error": f"Token {token} does not match robot {robot}"}, 401)
        return answer({"token": "opaque-token" if self.opaque else self._token(robot)})

    def _token(self, robot: str) -> str:
        now = int(self.time())
        claims = {
            "iss": "quay",
            "aud": self.authority,
            "nbf": now,
            "iat": now,
            "exp": int(self.time() + self.lifetime),
            "sub": robot,
            "access": {},
            "context": {},
        }
        return jwt.encode({"alg": "RS256", "kid": "quay"}, claims, self._key)


@cache
def _signing_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "quay"}, private=True)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return username, password
