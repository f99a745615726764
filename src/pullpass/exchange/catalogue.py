"""The exchanger of every record type that has one."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

from pullpass.domain.record_types import RecordType
from pullpass.exchange.acr import AzureExchanger
from pullpass.exchange.addresses import AddressGuard, Network
from pullpass.exchange.ecr import EcrExchanger
from pullpass.exchange.exchanger import Exchanger
from pullpass.exchange.gitlab import GitlabExchanger
from pullpass.exchange.google import GoogleExchanger
from pullpass.exchange.quay import QuayExchanger
from pullpass.exchange.token_service import TokenService

# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
_AZURE_METADATA = ip_network("169.254.169.254/32")


def exchangers(
    networks: tuple[Network, ...], *, ambient: bool, oidc_token_file: Path | None
) -> Mapping[RecordType, Exchanger]:
    """The exchanger of every record type that has one: the only list.

    ``networks`` are those that may be reached though they are not public; ``ambient``: whether
    records may use this server's own identity; ``oidc_token_file``: its own OIDC token.
    """
    trust = ssl.create_default_context()
    service = TokenService(AddressGuard(networks), trust)
    # Only the server's own identity is ever asked of it, never what a record names.
    metadata = TokenService(AddressGuard((_AZURE_METADATA,)), trust)
    return {
        RecordType.AMAZON_ECR: EcrExchanger(service, ambient=ambient),
        RecordType.GOOGLE_GCR: GoogleExchanger(service, ambient=ambient),
        RecordType.AZURE_ACR: AzureExchanger(service, ambient=ambient, metadata=metadata),
        RecordType.QUAY_ROBOT: QuayExchanger(service, ambient=ambient, token_file=oidc_token_file),
        RecordType.GITLAB_DEPLOY_TOKEN: GitlabExchanger(service),
    }
