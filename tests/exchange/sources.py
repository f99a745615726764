"""What the exchangers are given in these tests: sources, and services that reach loopback."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from pullpass.domain import draft as drafts
from pullpass.domain.credential import Credential
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.exchanger import Source
from pullpass.exchange.token_service import TokenService


def loopback_service(allowed: str = "127.0.0.0/8") -> TokenService:
    return service_of(AddressGuard(parse_networks(allowed)))


def service_of(guard: AddressGuard) -> TokenService:
    return TokenService(guard, ssl.create_default_context())


def source(kind: str, host: str, creds: Credential | None, **options: str) -> Source:
    """From a record that has passed every check of a write."""
    if creds is None:
        options["identity"] = "ambient"
    fields: dict[str, object] = {"id": "tested", "registry": host, "type": kind, "options": options}
    if creds is not None:
        fields["creds"] = {"username": creds.username, "password": creds.password.reveal()}
    record = drafts.parse(fields).record(
        created_at=datetime(2026, 1, 1, tzinfo=UTC), created_by="somebody", version=1
    )
    return Source(record, creds, host)
