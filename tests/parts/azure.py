"""Microsoft Entra, a container registry's token exchange and Azure's metadata service in miniature.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
https://azure.github.io/acr/AAD-OAuth.html,
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tests.parts.certificates import Certificates
from tests.parts.oidc import OidcIssuer
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

AUDIENCE = "https://containerregistry.azure.net"
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
USERNAME = "00000000-0000-0000-0000-000000000000"
_FEDERATED_AUDIENCE = "api://AzureADTokenExchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Federation:
    """Whose tokens may act for an application, for which subject."""

    issuer: OidcIssuer
    subject: str


class AzureServer(StandIn):
    """Entra at /<tenant>/oauth2/v2.0/token, registries at /oauth2/exchange, and metadata.

    ``secrets``: client secrets by client id. ``federated``: federations by client id.
    ``registries``: who may pull from which. ``machine``: the client id of the machine's managed
    identity. ``lifetime``: of refresh tokens, in seconds. ``claims``: what of the refresh token's
    claims is different from usual; None leaves one out.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.secrets: dict[str, str] = {}
        self.federated: dict[str, Federation] = {}
        self.registries: dict[str, set[str]] = {}
        self.machine: str | None = None
        self.lifetime = 3 * 3600.0
        self.claims: dict[str, object] = {}
        self._entra = RSAKey.generate_key(2048, {"kid": "entra"}, private=True)
        self._registry = RSAKey.generate_key(2048, {"kid": "registry"}, private=True)
        super().__init__(certificates)

    def accepts(self, username: str, password: str, host: str) -> bool:
        """Whether the registry ``host`` takes this at its login now."""
        claims = self._verified(password, self._registry, host)
        return username == USERNAME and claims is not None

    def handle(self, request: Received) -> Scripted:
        parts = urlsplit(request.target)
        if parts.path == "/metadata/identity/oauth2/token" and request.method == "GET":
            return self._managed(request, _first(parts.query))
        if request.method != "POST":
            return answer({"error": "not_found"}, 404)
        form = _first(request.body.decode())
        if parts.path == "/oauth2/exchange":
            return self._exchange(form)
        if parts.path.endswith("/oauth2/v2.0/token"):
            return self._grant(parts.path.split("/")[1], form)
        return answer({"error": "not_found"}, 404)

    def _grant(self, tenant: str, form: dict[str, str]) -> Scripted:
        client, secret = form.get("client_id", ""), form.get("client_secret")
        if tenant != TENANT:
            return _refusal(400, "invalid_request", 90002, "Tenant not found")
        if form.get("grant_type") != "client_credentials":
            return _refusal(400, "unsupported_grant_type", 70003, "Unsupported grant")
        if form.get("scope") != f"{AUDIENCE}/.default":
            return _refusal(400, "invalid_scope", 70011, "The scope is not valid")
        if client not in self.secrets and client not in self.federated:
            return _refusal(400, "unauthorized_client", 700016, f"No application {client}")
        if secret is not None and secret != self.secrets.get(client):
            return _refusal(401, "invalid_client", 7000215, f"Invalid secret {secret}")
        if secret is None and not self._is_federated(client, form):
            return _refusal(401, "invalid_client", 700213, f"No matching credential: {form}")
        token = self._token(client, AUDIENCE)
        return answer({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    def _is_federated(self, client: str, form: dict[str, str]) -> bool:
        federation = self.federated.get(client)
        if federation is None or form.get("client_assertion_type") != _ASSERTION:
            return False
        assertion = form.get("client_assertion", "")
        issuer = federation.issuer
        return (
            issuer.subject(assertion, _FEDERATED_AUDIENCE, self.time(), 300) == federation.subject
        )

    def _managed(self, request: Received, query: dict[str, str]) -> Scripted:
        if request.headers.get("metadata") != "true" or "x-forwarded-for" in request.headers:
            return answer({"error": "invalid_request"}, 400)
        asked = query.get("client_id", self.machine)
        if self.machine is None or asked != self.machine or "api-version" not in query:
            return answer(
                {"error": "invalid_request", "error_description": "Identity not found"}, 400
            )
        token = self._token(self.machine, query.get("resource", ""))
        return answer({"access_token": token, "expires_in": "86399", "token_type": "Bearer"})

    def _exchange(self, form: dict[str, str]) -> Scripted:
        service, presented = form.get("service", ""), form.get("access_token", "")
        if form.get("grant_type") != "access_token":
            return _registry_refusal(400, "unsupported grant_type")
        if service not in self.registries:
            return answer({"errors": [{"code": "NAME_UNKNOWN", "message": "not found"}]}, 404)
        claims = self._verified(presented, self._entra, AUDIENCE)
        if claims is None or form.get("tenant", TENANT) != TENANT:
            return _registry_refusal(401, f"invalid token {presented}")
        if claims["appid"] not in self.registries[service]:
            return _registry_refusal(401, "authentication required")
        now = int(self.time())
        made: dict[str, object] = {
            "jti": "1",
            "sub": claims["appid"],
            "aud": service,
            "iss": "Azure Container Registry",
            "nbf": now - 900,
            "iat": now,
            "exp": now + int(self.lifetime),
            "grant_type": "refresh_token",
            **self.claims,
        }
        kept = {name: value for name, value in made.items() if value is not None}
        header = {"alg": "RS256", "kid": "registry"}
        return answer({"refresh_token": jwt.encode(header, kept, self._registry)})

    def _token(self, client: str, audience: str) -> str:
        now = int(self.time())
        claims = {"aud": audience, "iat": now, "exp": now + 3599, "appid": client, "tid": TENANT}
        return jwt.encode({"alg": "RS256", "kid": "entra"}, claims, self._entra)

    def _verified(self, token: str, key: RSAKey, audience: str) -> dict[str, object] | None:
        rules = jwt.JWTClaimsRegistry(
            now=int(self.time()),
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"]).claims
            rules.validate(claims)
        except (JoseError, ValueError):
            return None
        return claims


def _first(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def _refusal(status: int, error: str, code: int, description: str) -> Scripted:
    return answer(
        {
            "error": error,
            "error_description": f"AADSTS{code}: {description}",
            "error_codes": [code],
        },
        status,
    )


def _registry_refusal(status: int, message: str) -> Scripted:
    return answer({"errors": [{"code": "UNAUTHORIZED", "message": message}]}, status)
