"""This server's own Azure identity: a workload identity, or the machine's managed identity.

https://azure.github.io/azure-workload-identity/docs/installation/mutating-admission-webhook.html
(the variables);
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
(the metadata service and its errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.exchange.token_file import read_token_file
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Outgoing

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service; azure-identity
# takes another base from this variable too.
_METADATA = "http://169.254.169.254"
_METADATA_VARIABLE = "AZURE_POD_IDENTITY_AUTHORITY_HOST"


class AzureIdentity:
    """``environ`` is the operator's; ``metadata`` may reach the metadata service alone."""

    def __init__(self, environ: Mapping[str, str], metadata: TokenService | None) -> None:
        self._environ = environ
        self._metadata = metadata

    @property
    def is_federated(self) -> bool:
        return bool(self._environ.get("AZURE_FEDERATED_TOKEN_FILE"))

    @property
    def tenant(self) -> str:
        return self._environ.get("AZURE_TENANT_ID", "")

    @property
    def authority(self) -> str:
        """Where Entra tokens come from, where the operator says so."""
        return self._environ.get("AZURE_AUTHORITY_HOST", "")

    async def assertion(self) -> Mapping[str, str]:
        """The form fields by which a workload identity proves itself. The file is read every
        time, for it is renewed.

        Raises:
            ExchangeRejected: the set-up is not whole.
        """
        client_id = self._environ.get("AZURE_CLIENT_ID", "")
        if not client_id or not self.tenant:
            raise _missing("AZURE_CLIENT_ID or AZURE_TENANT_ID is not set")
        path = Path(self._environ["AZURE_FEDERATED_TOKEN_FILE"])
        try:
            token = await read_token_file(path)
        except (OSError, UnicodeDecodeError):
            raise _missing("the file in AZURE_FEDERATED_TOKEN_FILE cannot be read") from None
        if not token:
            raise _missing("the file in AZURE_FEDERATED_TOKEN_FILE is empty")
        return {
            "client_id": client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": token,
        }

    async def managed_token(self, audience: str) -> str:
        """An Entra token of the machine's managed identity; AZURE_CLIENT_ID picks one of several.

        Raises:
            ExchangeRejected: there is none.
            ExchangeThrottled, ExchangeUnavailable: as their names say.
        """
        if self._metadata is None:
            raise _missing("AZURE_FEDERATED_TOKEN_FILE is not set")
        query = {"api-version": "2018-02-01", "resource": audience}
        if client_id := self._environ.get("AZURE_CLIENT_ID"):
            query["client_id"] = client_id
        base = self._environ.get(_METADATA_VARIABLE, _METADATA).rstrip("/")
        name = "Azure's metadata service"
        answer = await self._metadata.call(
            name,
            f"{base}/metadata/identity/oauth2/token?{urlencode(query)}",
            Outgoing("GET", {"Metadata": "true"}),
        )
        # "IMDS is updating": Microsoft says to try these again.
        if answer.status in (404, 408, 410):
            raise ExchangeUnavailable(f"{name} cannot answer now ({answer.status}).")
        if answer.status != 200:
            raise ExchangeRejected(
                f"{name} has no token for this server ({answer.status}). Assign the machine a "
                "managed identity; if it has several, name one in AZURE_CLIENT_ID.",
                code="ambient_identity_missing",
            )
        token = answer.text("access_token")
        if not token:
            raise ExchangeUnavailable(f"{name} answers without a token.")
        return token


def _missing(what: str) -> ExchangeRejected:
    return ExchangeRejected(
        f"This server has no Azure identity of its own: {what}.", code="ambient_identity_missing"
    )
