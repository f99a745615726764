"""Google Container Registry and Artifact Registry: an OAuth 2.0 access token as the password.

https://cloud.google.com/artifact-registry/docs/docker/authentication#token (the user name, and
that a token lives for an hour); https://google.aip.dev/auth/4112 and RFC 7523 section 2.1 (how a
service-account key becomes one); https://cloud.google.com/iam/docs/reference/credentials/rest/v1/
projects.serviceAccounts/generateAccessToken (how one account becomes another).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.domain.service_account import NoServiceAccountKey, ServiceAccountKey, read_key
from pullpass.exchange.ambient_endpoints import require_own
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.lifetime import lifetime
from pullpass.exchange.token_service import ServiceAnswer, TokenService

_USERNAME = "oauth2accesstoken"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Both registries go by Cloud Storage's scopes; cloud-platform would open every other service too:
# https://cloud.google.com/artifact-registry/docs/integrate-compute#required-permissions
# https://cloud.google.com/container-registry/docs/using-with-google-cloud-platform#gce
_SCOPES = {
    "pull": "https://www.googleapis.com/auth/devstorage.read_only",
    "push": "https://www.googleapis.com/auth/devstorage.read_write",
}
# The smaller one of the two that generateAccessToken takes.
_IAM_SCOPE = "https://www.googleapis.com/auth/iam"
_IAM_ENDPOINT = "https://iamcredentials.googleapis.com"
_HOUR = timedelta(hours=1)
# Google takes no assertion from its future, nor one that ends later than an hour after `iat`
# (https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth).
_BACKDATED = timedelta(minutes=5)
# google.oauth2._client names the first three as worth another try (RFC 6749 section 4.1.2.1).
_PASSING = {"internal_failure", "server_error", "temporarily_unavailable", "UNAVAILABLE"}
_LIMITED = {
    "RESOURCE_EXHAUSTED",
    "rate_limit_exceeded",
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
}
_ABOUT_TIME = re.compile(r"\b(iat|exp|timeframe|expired)\b", re.IGNORECASE)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """``expires`` by our clock."""

    value: str = field(repr=False)
    expires: datetime


class GoogleExchanger:
    """From a service-account key, or the identity of this server where ``ambient`` allows it;
    then, with the option `impersonate`, as that service account.

    This server's own token is shown to Google's hosts alone, whatever a record's options say, and
    to those that the operator names in ``ambient_hosts``.
    """

    def __init__(
        self, service: TokenService, *, ambient: bool, ambient_hosts: Collection[str] = ()
    ) -> None:
        self._service = service
        self._ambient_allowed = ambient
        self._ambient_hosts = frozenset(ambient_hosts)

    def scope(self, host: str) -> str:
        """A token is good for every registry that the account may read."""
        return ""

    async def exchange(self, source: Source, now: datetime) -> Issued:
        """See Exchanger.exchange."""
        wanted = _SCOPES[source.option("scope") or "pull"]
        account = source.option("impersonate")
        first = _IAM_SCOPE if account else wanted
        if source.creds is not None:
            token = await self._from_key(source, source.creds, first, now)
        else:
            token = await self._from_ambient(source, first)
        if account:
            token = await self._impersonated(source, account, token, wanted, now)
        return Issued(Credential(_USERNAME, Secret(token.value), token.expires))

    async def revoke(self, source: Source, handle: str) -> None:
        """Access tokens of service accounts cannot be revoked; they end."""

    async def _from_key(
        self, source: Source, creds: Credential, scope: str, now: datetime
    ) -> AccessToken:
        try:
            key = read_key(creds)
        except NoServiceAccountKey as error:
            raise ExchangeRejected(
                f"creds.{error.field} {error.problem}; expected {error.expected}."
            ) from None
        # Reading the key and signing take milliseconds of one core.
        assertion = await asyncio.to_thread(_assertion, key, scope, now)
        answer = await self._service.post_form(
            "Google's token service",
            source.option("token_endpoint") or key.token_uri,
            {"grant_type": _JWT_BEARER, "assertion": assertion},
        )
        if answer.status != 200:
            raise _refused_grant(answer)
        value, life = answer.text("access_token"), lifetime(answer.fields.get("expires_in"))
        if not value or life is None:
            raise ExchangeUnavailable("Google's token service answers without a usable token.")
        return AccessToken(value, now + life)

    async def _from_ambient(self, source: Source, scope: str) -> AccessToken:
        if not self._ambient_allowed:
            raise ExchangeRejected(
                "The record uses the server's own identity, which is switched off. Store a "
                "service-account key, or have an operator set PULLPASS_AMBIENT_IDENTITY.",
                code="ambient_identity_off",
            )
        require_own(
            source,
            {"iam_endpoint": lambda host: host.endswith(".googleapis.com")},
            self._ambient_hosts,
            "Name a host of googleapis.com with https, or use a service-account key.",
        )
        # google-auth and requests take long to import, and few servers need them.
        from pullpass.exchange.google_ambient import ambient_token

        value, expires = await ambient_token(scope)
        return AccessToken(value, expires)

    async def _impersonated(
        self, source: Source, account: str, token: AccessToken, scope: str, now: datetime
    ) -> AccessToken:
        base = (source.option("iam_endpoint") or _IAM_ENDPOINT).rstrip("/")
        answer = await self._service.post_json(
            "Google's IAM Credentials API",
            f"{base}/v1/projects/-/serviceAccounts/{quote(account)}:generateAccessToken",
            {"scope": [scope], "lifetime": f"{_HOUR.seconds}s"},
            {"Authorization": f"Bearer {token.value}"},
        )
        if answer.status != 200:
            raise _refused_impersonation(answer, account)
        value, end = answer.text("accessToken"), _RFC3339.fullmatch(answer.text("expireTime"))
        try:
            theirs = datetime.fromisoformat(end[1]).replace(tzinfo=UTC) if end else None
        except ValueError:
            theirs = None
        if not value or theirs is None:
            raise ExchangeUnavailable(
                "Google's IAM Credentials API answers without a usable token."
            )
        # Never longer than was asked for, even where it does not tell its clock.
        expires = min(theirs - timedelta(seconds=answer.skew(now)), now + _HOUR)
        if expires <= now:
            raise ExchangeUnavailable(
                "Google's IAM Credentials API answers with a token that has expired."
            )
        return AccessToken(value, expires)


def _assertion(key: ServiceAccountKey, scope: str, now: datetime) -> str:
    """The signed JWT. Its `aud` is the key's own token_uri even where another address is asked:
    that is the same service by another way.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from google.auth import crypt, jwt

    issued = math.floor((now - _BACKDATED).timestamp())
    claims: dict[str, object] = {
        "iss": key.email,
        "scope": scope,
        "aud": key.token_uri,
        "iat": issued,
        "exp": issued + _HOUR.seconds,
    }
    try:
        signer = crypt.RSASigner.from_string(key.private_key.reveal(), key.key_id or None)  # type: ignore[no-untyped-call]
        signed: bytes = jwt.encode(signer, claims)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ExchangeRejected(
            "The stored service-account key cannot sign: its private_key is damaged. "
            "Store the key file as Google wrote it, or make a new key."
        ) from None
    return signed.decode()


def _refused_grant(answer: ServiceAnswer) -> ExchangeFailed:
    reason, description = answer.text("error"), answer.text("error_description")
    name = "Google's token service"
    if (other := _passing(name, answer, {reason})) is not None:
        return other
    if reason == "invalid_grant" and _ABOUT_TIME.search(description):
        advice = "It finds the time in the request wrong: check the clock of this server."
    elif reason == "invalid_grant":
        advice = (
            "The key was deleted or disabled, or its service account was: make a new key and "
            "store it."
        )
    elif reason in ("invalid_client", "unauthorized_client"):
        advice = "The service account of the key is disabled, or may not ask for tokens."
    elif answer.status == 404:
        advice = "Nothing is at that address: check token_uri in the key, or the token_endpoint."
    else:
        advice = "Check that the service account and its key exist and are enabled."
    return ExchangeRejected(f"{name} refuses the service-account key ({answer.status}). {advice}")


def _refused_impersonation(answer: ServiceAnswer, account: str) -> ExchangeFailed:
    error = answer.fields.get("error")
    name = "Google's IAM Credentials API"
    if (other := _passing(name, answer, _reasons(error))) is not None:
        return other
    if answer.status == 401:
        advice = "It does not take the token of the account that impersonates."
    elif answer.status in (403, 404):
        advice = (
            "Check that the account exists, that the IAM Service Account Credentials API is "
            "enabled in its project, and that roles/iam.serviceAccountTokenCreator on it is "
            "granted to the account that impersonates."
        )
    else:
        advice = "Check options.impersonate, and options.iam_endpoint where it is set."
    return ExchangeRejected(
        f"{name} refuses to impersonate '{account}' ({answer.status}). {advice}"
    )


def _reasons(error: object) -> set[str]:
    """The status and the reasons of a Google API error (https://google.aip.dev/193)."""
    if not isinstance(error, Mapping):
        return set()
    lists = (error.get("details"), error.get("errors"))
    items = [item for found in lists if isinstance(found, list) for item in found]
    found = [error.get("status")]
    found += [item.get("reason") for item in items if isinstance(item, Mapping)]
    return {reason for reason in found if isinstance(reason, str)}


def _passing(name: str, answer: ServiceAnswer, reasons: set[str]) -> ExchangeFailed | None:
    """The error where waiting helps."""
    if reasons & _LIMITED:
        return ExchangeThrottled(f"{name} is asked too often ({answer.status}).")
    if reasons & _PASSING or answer.status in (408, 425):
        return ExchangeUnavailable(f"{name} cannot answer now ({answer.status}).")
    return None
