"""Azure Container Registry: a token of Microsoft Entra, exchanged at the registry itself.

https://azure.github.io/acr/AAD-OAuth.html#calling-post-oauth2-exchange-to-get-an-acr-refresh-token
(the exchange, and the user name that goes with its answer);
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (the token by
a client secret, or by another issuer's token).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.domain.registry_hosts import AZURE, recognize
from pullpass.exchange.ambient_endpoints import require_own
from pullpass.exchange.azure_ambient import AzureIdentity
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.lifetime import jwt_expiry
from pullpass.exchange.token_service import ServiceAnswer, TokenService

_USERNAME = "00000000-0000-0000-0000-000000000000"
# The audience of all clouds: https://github.com/Azure/azure-sdk-for-net/issues/34785 and
# https://github.com/Azure/azure-sdk-for-go/blob/main/sdk/containers/azcontainerregistry/
# cloud_config.go. A registry may refuse tokens for the resource manager.
_AUDIENCE = "https://containerregistry.azure.net"
# https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud; the second
# name for China is the one of the Azure SDKs. Azure Germany (azurecr.de) was closed in 2021.
_AUTHORITIES = {
    "public": "https://login.microsoftonline.com",
    "china": "https://login.chinacloudapi.cn",
    "government": "https://login.microsoftonline.us",
}
_AUTHORITY_HOSTS = {urlsplit(url).hostname for url in _AUTHORITIES.values()} | {
    "login.partner.microsoftonline.cn"
}
_ENTRA, _REGISTRY = "Microsoft Entra", "The registry"
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ADVICE = {
    7000215: "The client secret is wrong: store the secret's value, not its id.",
    7000222: "The client secret has expired: make a new one and store it.",
    700016: "The tenant knows no application with this client id: check both.",
    7000112: "The application is disabled in its tenant.",
    90002: "There is no such tenant: check options.tenant_id and the cloud.",
    500011: "The tenant does not know Azure Container Registry: check options.tenant_id.",
    53003: "A Conditional Access policy blocks it.",
    700024: "It finds the time in the token wrong: check the clock of this server.",
    70021: "No federated identity credential of the application fits this server's token.",
    700213: "No federated identity credential of the application fits this server's token.",
}
_THROTTLED = {90055, 50196}
_PASSING = {"temporarily_unavailable", "server_error"}


class AzureExchanger:
    """From a service principal's client secret, or the identity of this server where ``ambient``
    allows it: a workload identity, or else the managed identity of the machine, which
    ``metadata`` asks for (a service that may reach the metadata address and nothing else).

    What this server's own identity gives is shown to Microsoft's hosts alone, whatever a record's
    options say, and to those that the operator names in ``ambient_hosts`` or in ``environ``.
    """

    def __init__(
        self,
        service: TokenService,
        *,
        ambient: bool,
        metadata: TokenService | None = None,
        ambient_hosts: Collection[str] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._service = service
        self._ambient_allowed = ambient
        self._ambient_hosts = frozenset(ambient_hosts)
        self._identity = AzureIdentity(environ, metadata)

    def scope(self, host: str) -> str:
        """A refresh token is good for one registry."""
        return host

    async def exchange(self, source: Source, now: datetime) -> Issued:
        """See Exchanger.exchange."""
        tenant = source.option("tenant_id") or ""
        if source.creds is not None:
            authority = source.option("authority") or _authority(source.host)
            token = await self._by_grant(
                authority,
                tenant,
                {
                    "client_id": source.creds.username,
                    "client_secret": source.creds.password.reveal(),
                },
            )
        else:
            tenant = tenant or self._identity.tenant
            token = await self._from_ambient(source, tenant)
        return await self._at_registry(source, tenant, token, now)

    async def revoke(self, source: Source, handle: str) -> None:
        """The registry cannot revoke a refresh token; it ends."""

    async def _from_ambient(self, source: Source, tenant: str) -> str:
        if not self._ambient_allowed:
            raise ExchangeRejected(
                "The record uses the server's own identity, which is switched off. Store a "
                "client secret, or have an operator set PULLPASS_AMBIENT_IDENTITY.",
                code="ambient_identity_off",
            )
        require_own(
            source,
            {
                "authority": lambda host: host in _AUTHORITY_HOSTS,
                "endpoint": lambda host: recognize(AZURE, host) is not None,
            },
            self._ambient_hosts,
            "Leave that option out, or use a client secret.",
        )
        if not self._identity.is_federated:
            return await self._identity.managed_token(_AUDIENCE)
        authority = source.option("authority") or self._identity.authority
        return await self._by_grant(
            authority or _authority(source.host), tenant, await self._identity.assertion()
        )

    async def _by_grant(self, authority: str, tenant: str, client: Mapping[str, str]) -> str:
        answer = await self._service.post_form(
            _ENTRA,
            f"{authority.rstrip('/')}/{quote(tenant, safe='')}/oauth2/v2.0/token",
            {
                "grant_type": "client_credentials",
                "scope": f"{_AUDIENCE}/.default",
                **client,
            },
        )
        if answer.status != 200:
            raise _refused_by_entra(answer)
        token = answer.text("access_token")
        if not token:
            raise ExchangeUnavailable(f"{_ENTRA} answers without a token.")
        return token

    async def _at_registry(self, source: Source, tenant: str, token: str, now: datetime) -> Issued:
        base = (source.option("endpoint") or f"https://{source.host}").rstrip("/")
        form = {"grant_type": "access_token", "service": source.host, "access_token": token}
        if tenant:
            form["tenant"] = tenant
        answer = await self._service.post_form(_REGISTRY, f"{base}/oauth2/exchange", form)
        if answer.status != 200:
            raise _refused_by_registry(answer, source.host)
        refresh_token = answer.text("refresh_token")
        expires = jwt_expiry(refresh_token, now, answer.skew(now))
        if expires is None:
            raise ExchangeUnavailable(
                f"The registry '{source.host}' answers without a usable refresh token."
            )
        return Issued(Credential(_USERNAME, Secret(refresh_token), expires))


def _authority(host: str) -> str:
    found = recognize(AZURE, host)
    authority = _AUTHORITIES.get((found and found.get("cloud")) or "")
    if authority is None:
        raise ExchangeRejected(
            f"Nothing is known of where '{host}' takes its tokens from. Set options.authority."
        )
    return authority


def _refused_by_entra(answer: ServiceAnswer) -> ExchangeFailed:
    codes = _numbers(answer.fields.get("error_codes"))
    if _THROTTLED.intersection(codes):
        return ExchangeThrottled(f"{_ENTRA} is asked too often (AADSTS{codes[0]}).")
    if answer.text("error") in _PASSING or answer.status in (408, 425):
        return ExchangeUnavailable(f"{_ENTRA} cannot answer now ({answer.status}).")
    advice = next((_ADVICE[code] for code in codes if code in _ADVICE), None) or (
        "Check options.tenant_id, the client id and the client secret."
    )
    said = f"AADSTS{codes[0]}" if codes else str(answer.status)
    return ExchangeRejected(f"{_ENTRA} refuses the identity ({said}). {advice}")


def _numbers(listed: object) -> list[int]:
    found = listed if isinstance(listed, list) else []
    return [code for code in found if type(code) is int and 0 < code < 10**9]


def _refused_by_registry(answer: ServiceAnswer, host: str) -> ExchangeFailed:
    """The statuses as `az acr check-health` explains them:
    https://learn.microsoft.com/azure/container-registry/container-registry-health-error-reference
    """
    if answer.status in (408, 425):
        return ExchangeUnavailable(f"The registry '{host}' cannot answer now ({answer.status}).")
    if answer.status == 404:
        return ExchangeRejected(
            f"There is no registry '{host}' (404), or nothing that exchanges tokens. Check the "
            "registry's login server, and options.endpoint where it is set."
        )
    advice = (
        "Grant its identity the role AcrPull (or Container Registry Repository Reader) on the "
        "registry, and check that options.tenant_id is the registry's tenant."
    )
    if answer.status == 403:
        advice += " The registry's firewall may also keep this server out."
    return ExchangeRejected(
        f"The registry '{host}' refuses the Entra token ({answer.status}). {advice}"
    )
