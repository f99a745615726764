"""Which hosts are taken for which provider's, and what they say."""

from __future__ import annotations

import re
from itertools import product

import pytest

from pullpass.domain.registry_hosts import AMAZON_ECR, AWS_DOMAINS, recognize

# As Amazon's own credential helper and the kubelet's plugin for ECR know private registries
# (https://github.com/awslabs/amazon-ecr-credential-helper, ecr-login/api/client.go).
PEERS = re.compile(
    r"^(\d{12})\.dkr[\.\-]ecr(\-fips)?\.([a-zA-Z0-9][a-zA-Z0-9-_]*)"
    r"\.(amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov"
    r"|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$"
)
ACCOUNTS = ("123456789012", "000000000000", "12345678901", "1234567890123", "acme", "")
SERVICES = (
    *("dkr.ecr", "dkr-ecr", "dkr.ecr-fips", "dkr-ecr-fips"),
    *("dkr.ecr-public", "dkr_ecr", "dkrxecr", "dkr.ecrfips", "dkr", "ecr", "api.ecr"),
)
REGIONS = ("eu-west-1", "us-gov-west-1", "us-iso-east-1", "x", "", "-1", "eu.west")
DOMAINS = (
    *("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "on.aws"),
    *("on.amazonwebservices.com.cn", "sc2s.sgov.gov", "c2s.ic.gov"),
    *("cloud.adc-e.uk", "csp.hci.ic.gov"),
    *("amazonaws.de", "amazonaws.com.evil.example", "evil-amazonaws.com", "amazonawsxcom"),
    *("aws", "onxaws", "on.amazonwebservices.com", "amazonaws.com.", "c2s.ic.gov.example"),
)


def test_private_ecr_hosts_are_those_that_the_peers_know() -> None:
    taken = 0
    for parts in product(ACCOUNTS, SERVICES, REGIONS, DOMAINS):
        host = ".".join(parts)
        assert (recognize(AMAZON_ECR, host) is not None) == bool(PEERS.match(host)), host
        taken += bool(PEERS.match(host))
    assert taken == 2 * 4 * 4 * 9


@pytest.mark.parametrize(
    ("host", "region", "partition", "api", "fips"),
    [
        *(
            (f"123456789012.{service}.{region}.{domain}", region, partition, api, fips)
            for region, domain, partition, api in (
                ("eu-west-1", "amazonaws.com", "aws", "amazonaws.com"),
                ("eu-west-1", "on.aws", "aws", "amazonaws.com"),
                ("us-gov-west-1", "amazonaws.com", "aws-us-gov", "amazonaws.com"),
                ("us-gov-east-1", "on.aws", "aws-us-gov", "amazonaws.com"),
                ("cn-north-1", "amazonaws.com.cn", "aws-cn", "amazonaws.com.cn"),
                ("cn-north-1", "on.amazonwebservices.com.cn", "aws-cn", "amazonaws.com.cn"),
                ("eusc-de-east-1", "amazonaws.eu", "aws-eusc", "amazonaws.eu"),
                ("us-iso-east-1", "c2s.ic.gov", "aws-iso", "c2s.ic.gov"),
                ("us-isob-east-1", "sc2s.sgov.gov", "aws-iso-b", "sc2s.sgov.gov"),
                ("eu-isoe-west-1", "cloud.adc-e.uk", "aws-iso-e", "cloud.adc-e.uk"),
                ("us-isof-south-1", "csp.hci.ic.gov", "aws-iso-f", "csp.hci.ic.gov"),
            )
            for service, fips in (("dkr.ecr", ""), ("dkr-ecr", ""), ("dkr-ecr-fips", "-fips"))
        ),
        ("public.ecr.aws", "us-east-1", "aws", "amazonaws.com", None),
        ("ecr-public.aws.com", "us-east-1", "aws", "amazonaws.com", None),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443", "eu-west-1", "aws",
            "amazonaws.com", ""),
        # A record's host may be a pattern; what it leaves open is not known.
        ("*.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "aws", "amazonaws.com", ""),
        ("12345*.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "aws", "amazonaws.com", ""),
        ("*.dkr.ecr.*.amazonaws.com", None, "aws", "amazonaws.com", ""),
        ("*.dkr.ecr.us-*.amazonaws.com", None, "aws", "amazonaws.com", ""),
        ("*.dkr.ecr.us-gov-*.amazonaws.com", None, "aws-us-gov", "amazonaws.com", ""),
    ],
)  # fmt: skip
def test_what_an_ecr_host_says(
    host: str, region: str | None, partition: str, api: str, fips: str | None
) -> None:
    found = recognize(AMAZON_ECR, host)
    assert found is not None
    assert found.get("region") == region
    assert found.get("partition") == partition
    assert AWS_DOMAINS[partition] == api
    assert found.get("fips") == fips
    assert found.get("public") == ("yes" if "public" in host else None)


@pytest.mark.parametrize(
    "host",
    [
        "ecr.aws",
        "gallery.ecr.aws",
        "public.ecr.aws.example.com",
        "my-public.ecr.aws",
        "public-ecr.aws",
        "ecr-public.aws",
        "xecr-public.aws.com",
        "*.ecr.aws",
        "*.amazonaws.com",
        "1234567890*1234.dkr.ecr.eu-west-1.amazonaws.com",
        "acme-*.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.*.com",
        "123456789012.dkr.*.eu-west-1.amazonaws.com",
        "[::1]:443",
        "",
    ],
)
def test_near_misses_of_ecr_hosts(host: str) -> None:
    assert recognize(AMAZON_ECR, host) is None
