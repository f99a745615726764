"""Probing registries on this machine, which a server does not do unless it is allowed to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.probe import Probe
from pullpass.exchange.addresses import AddressGuard, Resolver, parse_networks, system_addresses
from pullpass.exchange.probe import Prober, Target
from pullpass.exchange.upstream import Limits

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
PASSWORD = "canary-a9c1"
BOT = Credential("bot", Secret(PASSWORD))

Try = Callable[..., Awaitable[Probe]]


@pytest.fixture
def attempt() -> Try:
    async def attempt(
        domain: str,
        credential: Credential | None = BOT,
        *,
        repository: str | None = None,
        plain_http: bool = False,
        allowed: str = "127.0.0.0/8",
        limits: Limits | None = None,
        resolve: Resolver = system_addresses,
    ) -> Probe:
        prober = Prober(AddressGuard(parse_networks(allowed), resolve), limits)
        return await prober.probe(Target(domain, plain_http, repository), credential, NOW)

    return attempt
