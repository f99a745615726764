"""Which hosts belong to which provider: patterns as data, since new shapes come every year.

A record's host may hold `*` within labels; the patterns here take it for any run of letters,
digits and hyphens, so that a wildcard record is recognized too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# The domain of the APIs of AWS, by partition.
# https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json (dnsSuffix)
AWS_DOMAINS: Mapping[str, str] = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}
_WORD = r"[a-z0-9*](?:[a-z0-9*-]*[a-z0-9*])?"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A shape of host. ``example`` shows it to people; ``traits`` are the facts that it fixes,
    the pattern's named groups the ones that it reads.
    """

    example: str
    pattern: re.Pattern[str]
    source: str
    traits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RegistryHost:
    """What a host says: for Amazon ``region``, ``partition``, ``account``…"""

    traits: Mapping[str, str]

    def get(self, name: str) -> str | None:
        """The trait, or None where the host does not say it or has a `*` in its place."""
        value = self.traits.get(name)
        return None if value is None or "*" in value else value


def _pattern(example: str, pattern: str, source: str, **traits: str) -> HostPattern:
    return HostPattern(example, re.compile(pattern.replace("WORD", _WORD)), source, traits)


_ECR_SOURCE = (
    "https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html and "
    "https://github.com/awslabs/amazon-ecr-credential-helper (api/client.go)"
)
_GOV_REGION = r"us-gov-WORD"
# Domain and region of the registry, and the partition that they say.
_ECR_DOMAINS = (
    ("amazonaws.com", _GOV_REGION, "aws-us-gov"),
    ("amazonaws.com", "WORD", "aws"),
    ("amazonaws.com.cn", "WORD", "aws-cn"),
    ("amazonaws.eu", "WORD", "aws-eusc"),
    ("on.aws", _GOV_REGION, "aws-us-gov"),
    ("on.aws", "WORD", "aws"),
    ("on.amazonwebservices.com.cn", "WORD", "aws-cn"),
    ("sc2s.sgov.gov", "WORD", "aws-iso-b"),
    ("c2s.ic.gov", "WORD", "aws-iso"),
    ("cloud.adc-e.uk", "WORD", "aws-iso-e"),
    ("csp.hci.ic.gov", "WORD", "aws-iso-f"),
)
# Twelve digits; with a `*` among them, fewer.
_ECR_ACCOUNT = r"[0-9]{12}|(?=[0-9]*\*)[0-9*]{1,12}"

AMAZON_ECR_PUBLIC: tuple[HostPattern, ...] = tuple(
    _pattern(
        host,
        re.escape(host),
        "https://docs.aws.amazon.com/AmazonECR/latest/public/public-registries.html",
        public="yes",
        region="us-east-1",
        partition="aws",
    )
    for host in ("public.ecr.aws", "ecr-public.aws.com")
)
AMAZON_ECR: tuple[HostPattern, ...] = (
    *(
        _pattern(
            f"123456789012.dkr{'-' if domain.startswith('on.') else '.'}ecr.<region>.{domain}",
            rf"(?P<account>{_ECR_ACCOUNT})\.dkr[.-]ecr(?P<fips>-fips)?\.(?P<region>{region})\."
            + re.escape(domain),
            _ECR_SOURCE,
            partition=partition,
        )
        for domain, region, partition in _ECR_DOMAINS
    ),
    *AMAZON_ECR_PUBLIC,
)

_GOOGLE_SOURCE = "https://cloud.google.com/artifact-registry/docs/docker/authentication"
GOOGLE: tuple[HostPattern, ...] = (
    _pattern("gcr.io", r"(?:WORD\.)?gcr\.io", _GOOGLE_SOURCE),
    _pattern("<location>-docker.pkg.dev", r"(?:WORD-docker|\*)\.pkg\.dev", _GOOGLE_SOURCE),
    _pattern("docker.<region>.rep.pkg.dev", r"docker\.WORD\.rep\.pkg\.dev", _GOOGLE_SOURCE),
)

_AZURE_SOURCE = "https://learn.microsoft.com/azure/container-registry/container-registry-intro"
# The cloud decides where Entra tokens come from and for which audience.
AZURE: tuple[HostPattern, ...] = tuple(
    _pattern(
        f"<name>.azurecr.{suffix}",
        rf"(?:WORD\.){{1,3}}azurecr\.{suffix}",
        _AZURE_SOURCE,
        cloud=cloud,
    )
    for suffix, cloud in (
        ("io", "public"),
        ("cn", "china"),
        ("us", "government"),
        ("de", "germany"),
    )
)


def recognize(patterns: tuple[HostPattern, ...], domain: str) -> RegistryHost | None:
    """What ``domain`` (lower case, a port is ignored) says by these patterns; None where it is
    of none of the shapes.
    """
    host = domain.rpartition(":")[0] if re.search(r":\d+$", domain) else domain
    for shape in patterns:
        found = shape.pattern.fullmatch(host)
        if found is not None:
            groups = {name: value or "" for name, value in found.groupdict().items()}
            return RegistryHost({**shape.traits, **groups})
    return None
