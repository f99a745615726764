"""Google's token services in miniature: they verify what Google verifies.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest (the grant),
https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/
generateAccessToken, https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
(workload identity federation), https://cloud.google.com/compute/docs/metadata/overview.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tests.parts.certificates import Certificates
from tests.parts.oidc import OidcIssuer
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

EMAIL = "puller@acme.iam.gserviceaccount.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_HOUR = 3600
_IAM_SCOPES = {
    "https://www.googleapis.com/auth/iam",
    "https://www.googleapis.com/auth/cloud-platform",
}


def private_key_pem(number: int = 0, *, pkcs1: bool = False) -> str:
    """An RSA key made for the tests, another one for each ``number``."""
    form = PrivateFormat.TraditionalOpenSSL if pkcs1 else PrivateFormat.PKCS8
    return _private_key(number).private_bytes(Encoding.PEM, form, NoEncryption()).decode()


@cache
def _private_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def service_account_key(
    token_uri: str = TOKEN_URI, *, email: str = EMAIL, number: int = 0, **changes: object
) -> str:
    """The text of a key file as Google writes one."""
    fields: dict[str, object] = {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": f"key-{number}",
        "private_key": private_key_pem(number),
        "client_email": email,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
        **changes,
    }
    return json.dumps(fields, indent=2)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    email: str
    scopes: frozenset[str]
    ends: float


class GoogleServer(StandIn):
    """The token endpoint (/token), IAM Credentials (/v1/…), STS (/sts) and the metadata server.

    ``keys``: PEM and e-mail address by key id; all are as :func:`service_account_key` writes them.
    ``impersonators``: who may become which account. ``federation``: whose tokens STS takes, and
    for which audience. ``machine``: the account of the machine, for the metadata server.
    ``lifetime``: of its tokens, in seconds.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.keys: dict[str, tuple[str, str]] = {"key-0": (private_key_pem(), EMAIL)}
        self.impersonators: set[tuple[str, str]] = set()
        self.federation: tuple[OidcIssuer, str] | None = None
        self.machine: str | None = None
        self.lifetime = 3599.0
        self.tokens: dict[str, IssuedToken] = {}
        super().__init__(certificates)

    @property
    def token_uri(self) -> str:
        return f"{self.url}/token"

    def accepts(self, username: str, password: str, *scopes: str) -> bool:
        """Whether the registry takes this now, for all of ``scopes``."""
        token = self.tokens.get(password)
        return (
            username == "oauth2accesstoken"
            and token is not None
            and token.ends > self.time()
            and token.scopes.issuperset(scopes)
        )

    def handle(self, request: Received) -> Scripted:
        path = unquote(urlsplit(request.target).path)
        if path.startswith("/computeMetadata/") or (path == "/" and request.method == "GET"):
            return self._metadata(path, request)
        if request.method != "POST":
            return answer({"error": "not_found"}, 404)
        if path == "/token":
            return self._grant(_form(request))
        if path == "/sts":
            return self._federated(_form(request))
        if path.endswith(":generateAccessToken"):
            return self._impersonated(path, request)
        return answer({"error": "not_found"}, 404)

    def _grant(self, form: dict[str, str]) -> Scripted:
        if form.get("grant_type") != _JWT_BEARER:
            return _oauth("unsupported_grant_type", f"Invalid grant_type: {form}")
        assertion = form.get("assertion", "")
        found = self._by_kid(assertion)
        if found is None:
            return _oauth("invalid_grant", "Invalid JWT Signature.")
        claims, email = found
        now, issued, ends = self.time(), claims.get("iat"), claims.get("exp")
        if claims.get("aud") not in (TOKEN_URI, self.token_uri):
            return _oauth("invalid_grant", "Invalid JWT: Failed audience check.")
        if not isinstance(issued, int) or not isinstance(ends, int):
            return _oauth("invalid_grant", "Invalid JWT: iat and exp must be given.")
        if issued > now or ends <= now or ends - issued > _HOUR:
            return _oauth(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )
        if claims.get("iss") != email:
            return _oauth("invalid_grant", "Invalid grant: account not found")
        if not claims.get("scope"):
            return _oauth("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return self._token(email, str(claims["scope"]).split())

    def _by_kid(self, assertion: str) -> tuple[dict[str, object], str] | None:
        for key_id, (pem, email) in self.keys.items():
            try:
                token = jwt.decode(assertion, RSAKey.import_key(pem), algorithms=["RS256"])
            except (JoseError, ValueError):
                continue
            if token.header.get("kid") == key_id:
                return token.claims, email
        return None

    def _token(self, email: str, scopes: list[str]) -> Scripted:
        return answer(
            {
                "access_token": self._new(email, scopes, self.lifetime),
                "expires_in": int(self.lifetime),
                "token_type": "Bearer",
            }
        )

    def _new(self, email: str, scopes: list[str], seconds: float) -> str:
        value = f"ya29.{secrets.token_urlsafe(32)}"
        self.tokens[value] = IssuedToken(email, frozenset(scopes), self.time() + seconds)
        return value

    def _federated(self, form: dict[str, str]) -> Scripted:
        issuer, audience = self.federation or (OidcIssuer(), "")
        subject = issuer.subject(form.get("subject_token", ""), audience, self.time(), 600)
        if form.get("grant_type") != _EXCHANGE or form.get("audience") != audience:
            return _oauth("invalid_request", f"Invalid request {form}")
        if subject is None:
            return _oauth("invalid_grant", f"The token {form['subject_token']} is not accepted.")
        issued = self._token(f"principal://{subject}", form.get("scope", "").split())
        fields = json.loads(issued.body)
        return answer(
            {**fields, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        )

    def _impersonated(self, path: str, request: Received) -> Scripted:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        caller = self.tokens.get(bearer)
        if caller is None or caller.ends <= self.time():
            return _api(401, "UNAUTHENTICATED", f"Invalid credentials {bearer}")
        target = path.removeprefix("/v1/projects/-/serviceAccounts/").partition(":")[0]
        if not caller.scopes & _IAM_SCOPES:
            return _api(403, "PERMISSION_DENIED", "Request had insufficient scopes.")
        if (caller.email, target) not in self.impersonators:
            return _api(403, "PERMISSION_DENIED", "iam.serviceAccounts.getAccessToken denied")
        body = json.loads(request.body)
        seconds = float(str(body.get("lifetime", "3600s")).removesuffix("s"))
        if not body.get("scope") or not 0 < seconds <= _HOUR:
            return _api(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        seconds = min(seconds, self.lifetime + 1)
        value = self._new(target, body["scope"], seconds)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.time() + seconds))
        return answer({"accessToken": value, "expireTime": ends})

    def _metadata(self, path: str, request: Received) -> Scripted:
        flavor = {"Metadata-Flavor": "Google"}
        if request.headers.get("metadata-flavor") != "Google" or self.machine is None:
            return Scripted(403, b"Missing Metadata-Flavor:Google header.")
        account = {"email": self.machine, "aliases": ["default"], "scopes": []}
        if path.endswith("/token"):
            scopes = parse_qs(urlsplit(request.target).query).get("scopes", [""])[0]
            issued = self._token(self.machine, scopes.split(","))
            return Scripted(200, issued.body, {**issued.headers, **flavor})
        if "/service-accounts/" in path:
            return answer(account, 200, **flavor)
        return Scripted(200, b"acme", {"Content-Type": "text/plain", **flavor})


def _form(request: Received) -> dict[str, str]:
    assert request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _oauth(error: str, description: str) -> Scripted:
    return answer({"error": error, "error_description": description}, 400)


def _api(status: int, name: str, message: str) -> Scripted:
    return answer({"error": {"code": status, "status": name, "message": message}}, status)
