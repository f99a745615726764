"""Amazon ECR: an AWS identity to a registry password that is good for twelve hours.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html and
https://docs.aws.amazon.com/AmazonECRPublic/latest/APIReference/API_GetAuthorizationToken.html.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeGuard

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.domain.registry_hosts import AMAZON_ECR, AWS_DOMAINS, recognize
from pullpass.exchange.ambient_endpoints import require_own
from pullpass.exchange.aws_identity import ambient_keys, assume_role
from pullpass.exchange.aws_request import AwsCalls, Endpoint, Keys
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.lifetime import lifetime
from pullpass.exchange.token_service import ServiceAnswer, TokenService

_USERNAME = "AWS"
_LIFETIME = timedelta(hours=12)
# Unix times, as the APIs give them, are far below; and JSON has numbers that no float holds.
_LAST_TIME = 100_000_000_000
_TARGETS = {
    "ecr": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    "ecr-public": "SpencerFrontendService.GetAuthorizationToken",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the registries of a host have their API."""

    region: str
    partition: str
    fips: bool
    public: bool

    @property
    def domain(self) -> str:
        return AWS_DOMAINS[self.partition]

    @property
    def service(self) -> str:
        return "ecr-public" if self.public else "ecr"

    def api(self, override: str | None) -> Endpoint:
        # https://docs.aws.amazon.com/general/latest/gr/ecr.html: api.ecr is for all but FIPS.
        name = "ecr-fips" if self.fips else f"api.{self.service}"
        url = override or f"https://{name}.{self.region}.{self.domain}"
        return Endpoint("Amazon ECR", url, self.service, self.region)

    def is_own(self, host: str) -> bool:
        """Whether ``host`` is one of Amazon's for these services in this region: a regional
        endpoint, for both versions of IP or one, or a private endpoint of one of them. The domain
        alone says nothing, for customers have names in it too.
        """
        # https://docs.aws.amazon.com/general/latest/gr/ecr.html and sts.html, and
        # https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
        service = r"(?:api\.)?ecr|ecr-fips|(?:api\.)?ecr-public|sts|sts-fips"
        region, domain = re.escape(self.region), re.escape(self.domain)
        own = (
            rf"(?:{service})\.{region}\.(?:{domain}|api\.aws)"
            rf"|vpce-[a-z0-9-]+\.(?:{service})\.{region}\.vpce\.{domain}"
        )
        return re.fullmatch(own, host) is not None

    def sts(self, override: str | None) -> Endpoint:
        # https://docs.aws.amazon.com/general/latest/gr/sts.html: in GovCloud all are FIPS.
        name = "sts-fips" if self.fips and self.partition == "aws" else "sts"
        url = override or f"https://{name}.{self.region}.{self.domain}"
        return Endpoint("AWS STS", url, "sts", self.region)


class EcrExchanger:
    """``ambient``: whether records may use the server's own AWS identity. What is signed with it,
    and its session token, is shown to Amazon's hosts alone, whatever a record's options say, and to
    those that the operator names in ``ambient_hosts``: whoever has it could send it on to Amazon.
    """

    def __init__(
        self, service: TokenService, *, ambient: bool, ambient_hosts: Collection[str] = ()
    ) -> None:
        self._service = service
        self._ambient = ambient
        self._ambient_hosts = frozenset(ambient_hosts)

    def scope(self, host: str) -> str:
        """Partition and region: one token is good for every registry there that its identity
        may read, whatever the account (the API's ``registryIds`` is deprecated for that reason).

        Raises:
            ExchangeRejected: no ECR host, or one that does not say the region.
        """
        place = _place(host)
        return "aws/public" if place.public else f"{place.partition}/{place.region}"

    async def exchange(self, source: Source, now: datetime) -> Issued:
        """A token for ``AWS``, as ``Exchanger.exchange``."""
        place = _place(source.host)
        calls = AwsCalls(self._service, now)
        keys = await self._keys(source, place, calls)
        answer = await calls.post(
            place.api(source.option("endpoint")),
            keys,
            action=f"{place.service}:GetAuthorizationToken",
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": _TARGETS[place.service],
            },
            body=b"{}",
        )
        return Issued(_credential(answer, now))

    async def revoke(self, source: Source, handle: str) -> None:
        """Nothing: AWS has no way to end a token early."""

    async def _keys(self, source: Source, place: _Place, calls: AwsCalls) -> Keys:
        if source.creds is not None:
            keys = Keys(source.creds.username, source.creds.password)
        elif self._ambient:
            require_own(
                source,
                {"endpoint": place.is_own, "sts_endpoint": place.is_own},
                self._ambient_hosts,
                "Name one of Amazon's for this region with https, leave that option out, or use an "
                "access key.",
            )
            keys = await ambient_keys(place.region)
        else:
            raise ExchangeRejected(
                "This server does not lend its own AWS identity to records. An operator can "
                "switch that on with PULLPASS_AMBIENT_IDENTITY.",
                code="ambient_identity_off",
            )
        role_arn = source.option("role_arn")
        if role_arn is None:
            return keys
        return await assume_role(
            calls,
            place.sts(source.option("sts_endpoint")),
            keys,
            role_arn=role_arn,
            session_name=source.option("session_name") or "pullpass",
            external_id=source.option("external_id"),
        )


def _place(host: str) -> _Place:
    found = recognize(AMAZON_ECR, host)
    if found is None:
        raise ExchangeRejected(f"'{host}' is not a host of Amazon ECR.")
    region, partition = found.get("region"), found.get("partition")
    if region is None or partition is None:
        raise ExchangeRejected(
            f"'{host}' has a '*' where the AWS region stands, and tokens are issued by region. "
            "Ask with an image, whose name says the region.",
            code="host_needed",
        )
    return _Place(region, partition, bool(found.get("fips")), bool(found.get("public")))


def _credential(answer: ServiceAnswer, now: datetime) -> Credential:
    data = answer.fields.get("authorizationData")
    # A list in the private API, the object itself in the public one.
    first = data[0] if isinstance(data, list) and data else data
    fields = first if isinstance(first, dict) else {}
    password = _password(fields.get("authorizationToken"))
    end = fields.get("expiresAt")
    if password is None or not _is_time(end):
        raise ExchangeUnavailable("Amazon ECR answers without a token of the documented form.")
    left = lifetime(end - answer.skew(now) - now.timestamp())
    if left is None:
        raise ExchangeUnavailable("Amazon ECR answers with a token that ends at no sensible time.")
    return Credential(_USERNAME, Secret(password), now + min(left, _LIFETIME))


def _password(token: object) -> str | None:
    """What stands after the colon of ``token``, the Base64 of `AWS:password`."""
    if not isinstance(token, str):
        return None
    try:
        username, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password if username == _USERNAME and password else None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and 0 < value < _LAST_TIME
