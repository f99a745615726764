"""The authorization code flow with an OpenID provider, as its client.

OpenID Connect Core 1.0 section 3.1, with PKCE (RFC 7636, method S256) always and the issuer in the
response (RFC 9207) where the provider sends it: what RFC 9700 section 2.1 asks of clients. The
browser brings a random key, of which all that binds the answer to it is derived; nothing of it is
kept here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote_plus, urlencode, urlsplit

from pullpass.domain.credential import Secret
from pullpass.domain.errors import ExchangeFailed
from pullpass.domain.issuers import is_safe
from pullpass.domain.sign_in import SignInProvider, needed_claims
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.failure import IdentityTokenRefused, IssuerUnavailable
from pullpass.exchange.identity_token import IdentityToken
from pullpass.exchange.oidc import Issuers
from pullpass.exchange.token_service import ServiceAnswer, TokenService
from pullpass.exchange.upstream import Limits, Outgoing

_LIMITS = Limits(request_seconds=10, total_seconds=10, body_bytes=1024 * 1024)
# Beyond what is forgiven to the times in a token.
_CLOCK_SKEW = 60


class CodeRefused(Exception):
    """The provider gives nothing for the code. ``reason`` is for the server's log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClocksApart(Exception):
    """The token is of another time. ``seconds``: by how many the provider's clock is ahead."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the provider's clock is {seconds:+.0f} s from this server's")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to the provider and back. ``key`` stays with the browser that began it."""

    key: Secret

    @classmethod
    def begin(cls) -> Attempt:
        return cls(Secret(secrets.token_urlsafe(32)))

    @property
    def state(self) -> str:
        return self._derived("state")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    @property
    def verifier(self) -> Secret:
        """43 characters, as RFC 7636 section 4.1 has it."""
        return Secret(self._derived("verifier"))

    @property
    def challenge(self) -> str:
        return _base64url(hashlib.sha256(self.verifier.reveal().encode()).digest())

    def _derived(self, purpose: str) -> str:
        label = f"pullpass sign-in {purpose}".encode()
        return _base64url(hmac.digest(self.key.reveal().encode(), label, hashlib.sha256))


class CodeFlow:
    """``provider`` is asked at the addresses that its discovery document names, over the guard."""

    def __init__(self, provider: SignInProvider, issuers: Issuers, guard: AddressGuard) -> None:
        self._provider = provider
        self._issuers = issuers
        self._guard = guard
        self._service: TokenService | None = None

    async def authorization_url(self, attempt: Attempt) -> str:
        """Where the browser is sent to.

        Raises:
            IssuerUnavailable: the provider is down, or is no OpenID provider.
        """
        provider = self._provider
        return _with_query(
            await self._endpoint("authorization_endpoint"),
            {
                "response_type": "code",
                "client_id": provider.client_id,
                "redirect_uri": provider.callback,
                "scope": provider.scopes,
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": attempt.challenge,
                "code_challenge_method": "S256",
            },
        )

    async def sign_out_url(self) -> str | None:
        """Where the provider's own session ends (OpenID Connect RP-Initiated Logout 1.0); None
        where it has no such place.

        Raises:
            IssuerUnavailable: as :meth:`authorization_url`.
        """
        document = await self._issuers.document(self._provider.issuer)
        address = document.get("end_session_endpoint")
        if not isinstance(address, str) or not is_safe(address):
            return None
        query = {
            "client_id": self._provider.client_id,
            "post_logout_redirect_uri": f"{self._provider.public_url}/ui/sign-in",
        }
        return _with_query(address, query)

    async def require_issuer(self, given: str | None) -> None:
        """Check the parameter `iss` of the response: who says it is another provider's answer.

        Raises:
            CodeRefused: it is not this provider, or is missing though it sends one.
            IssuerUnavailable: as :meth:`authorization_url`.
        """
        document = await self._issuers.document(self._provider.issuer)
        sends = document.get("authorization_response_iss_parameter_supported") is True
        if given != self._provider.issuer and (given is not None or sends):
            raise CodeRefused("its answer does not say that it comes from the configured issuer")

    async def redeem(self, code: Secret, attempt: Attempt, now: datetime) -> Mapping[str, object]:
        """The claims of the person who has signed in: those of the identity token, and of the
        UserInfo endpoint what is needed and not in there.

        Raises:
            CodeRefused: the provider gives nothing for this code.
            IdentityTokenRefused: what it gives is no token of its own for this attempt.
            ClocksApart: the token would be good at another time.
            IssuerUnavailable: the provider does not answer as it should.
        """
        answer = await self._token(code, attempt)
        try:
            token = self._issuers.read(Secret(answer.text("id_token")), now)
        except IdentityTokenRefused:
            if abs(skew := answer.skew(now)) > _CLOCK_SKEW:
                raise ClocksApart(skew) from None
            raise
        self._check(token, attempt)
        await self._issuers.verify(token)
        claims = dict(token.claims)
        if any(name not in claims for name in needed_claims(self._provider)):
            claims = {**await self._userinfo(answer, token.subject), **claims}
        return claims

    def _check(self, token: IdentityToken, attempt: Attempt) -> None:
        """OpenID Connect Core 1.0 section 3.1.3.7, apart from the signature and the times."""
        claims, client_id = token.claims, self._provider.client_id
        if token.issuer != self._provider.issuer:
            raise IdentityTokenRefused("it is of another issuer")
        audience = claims["aud"]
        audiences = audience if isinstance(audience, list) else [audience]
        if client_id not in audiences:
            raise IdentityTokenRefused("it is for another client")
        if claims.get("azp", client_id if len(audiences) == 1 else None) != client_id:
            raise IdentityTokenRefused("it was issued to another client")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(
            nonce.encode(), attempt.nonce.encode()
        ):
            raise IdentityTokenRefused("its nonce is not that of this attempt")

    async def _token(self, code: Secret, attempt: Attempt) -> ServiceAnswer:
        provider = self._provider
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": provider.callback,
            "code_verifier": attempt.verifier.reveal(),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if provider.client_secret is None:
            form["client_id"] = provider.client_id
        elif await self._takes_basic():
            headers["Authorization"] = _basic(provider.client_id, provider.client_secret)
        else:
            form |= {
                "client_id": provider.client_id,
                "client_secret": provider.client_secret.reveal(),
            }
        url = await self._endpoint("token_endpoint")
        answer = await self._ask(url, Outgoing("POST", headers, urlencode(form).encode()))
        if answer.status != 200:
            raise CodeRefused(f"its token endpoint answers {answer.status} {_known(answer)}")
        return answer

    async def _userinfo(self, answer: ServiceAnswer, subject: str) -> Mapping[str, object]:
        """Section 5.3; nothing where the provider has no such endpoint."""
        document = await self._issuers.document(self._provider.issuer)
        access_token = answer.text("access_token")
        if "userinfo_endpoint" not in document or not access_token:
            return {}
        url = await self._endpoint("userinfo_endpoint")
        headers = {"Authorization": f"Bearer {access_token}"}
        found = await self._ask(url, Outgoing("GET", headers))
        # Section 5.3.2: what it says of somebody else must not be used.
        if found.status != 200 or found.fields.get("sub") != subject:
            raise CodeRefused(f"its UserInfo endpoint answers {found.status}, or of somebody else")
        return found.fields

    async def _takes_basic(self) -> bool:
        """Discovery 1.0 section 3: the default where the provider does not say."""
        document = await self._issuers.document(self._provider.issuer)
        methods = document.get("token_endpoint_auth_methods_supported")
        return not isinstance(methods, list) or "client_secret_basic" in methods

    async def _endpoint(self, name: str) -> str:
        address = (await self._issuers.document(self._provider.issuer)).get(name)
        if not isinstance(address, str) or not is_safe(address):
            raise IssuerUnavailable(f"The provider names no https address as its {name}.", 60)
        return address

    async def _ask(self, url: str, outgoing: Outgoing) -> ServiceAnswer:
        if self._service is None:
            self._service = TokenService(self._guard, ssl.create_default_context(), _LIMITS)
        try:
            return await self._service.call("The sign-in provider", url, outgoing)
        except ExchangeFailed as error:
            raise IssuerUnavailable(error.message, error.retry_after or 5) from None


# RFC 6749 section 5.2: nothing else that the provider says goes into the log.
_ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
)


def _known(answer: ServiceAnswer) -> str:
    error = answer.text("error")
    return error if error in _ERRORS else ""


def _basic(client_id: str, secret: Secret) -> str:
    """RFC 6749 section 2.3.1: both are form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _with_query(address: str, query: Mapping[str, str]) -> str:
    """``address`` may have a query of its own (RFC 6749 section 3.1)."""
    between = "&" if urlsplit(address).query else "?"
    return f"{address}{between}{urlencode(query)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
