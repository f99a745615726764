"""Asking the stand-in of AWS for tokens of ECR."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

from pullpass.domain.credential import Credential, Secret
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.ecr import EcrExchanger
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Limits
from tests.exchange import sources
from tests.parts.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Aws

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY = Credential(ACCESS_KEY_ID, Secret(SECRET_ACCESS_KEY))
WRONG_SECRET = Credential(ACCESS_KEY_ID, Secret("w" * 40))
TWELVE_HOURS = timedelta(hours=12)
# What a request takes, and what Date cuts off.
SLACK = timedelta(seconds=30)


def exchanger(
    *, ambient: bool = False, allow: str = "127.0.0.0/8", seconds: float = 10
) -> EcrExchanger:
    guard = AddressGuard(parse_networks(allow))
    limits = Limits(request_seconds=seconds, total_seconds=seconds, body_bytes=1024 * 1024)
    service = TokenService(guard, ssl.create_default_context(), limits)
    return EcrExchanger(service, ambient=ambient, ambient_hosts={"127.0.0.1"})


def source(aws: Aws, creds: Credential | None = KEY, host: str = HOST, /, **options: str) -> Source:
    given = {"endpoint": aws.url} | options
    if "role_arn" in given:
        given = {"sts_endpoint": aws.url} | given
    return sources.source("amazon_ecr", host, creds, **given)


async def issue(wanted: Source, *, ahead: float = 0, ambient: bool = False) -> Issued:
    """What is issued by a server whose clock is ``ahead`` seconds ahead of the true time."""
    now = datetime.now(UTC) + timedelta(seconds=ahead)
    return await exchanger(ambient=ambient).exchange(wanted, now)


def assert_left(issued: Issued, expected: timedelta, *, ahead: float = 0) -> None:
    left = issued.expires - timedelta(seconds=ahead) - datetime.now(UTC)
    assert expected - SLACK <= left <= expected + timedelta(seconds=1)
