"""Amazon ECR, against moto behind a stand-in that verifies signatures as AWS does."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime

import pytest

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import ExchangeFailed, ExchangeRejected
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.ecr import EcrExchanger
from pullpass.exchange.token_service import TokenService
from tests.exchange import sources
from tests.exchange.ecr import (
    KEY,
    TWELVE_HOURS,
    WRONG_SECRET,
    assert_left,
    exchanger,
    issue,
    source,
)
from tests.parts.aws import ACCESS_KEY_ID, ROLE, SECRET_ACCESS_KEY, Aws, AwsError, AwsRole


async def test_a_token_is_issued_for_an_access_key(aws: Aws) -> None:
    aws.region = "eu-west-1"

    issued = await issue(source(aws))

    assert issued.credential.username == "AWS"
    assert aws.accepts(issued.credential.password.reveal())
    assert issued.handle is None
    assert_left(issued, TWELVE_HOURS)
    assert aws.actions == ["ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("host", ["public.ecr.aws", "ecr-public.aws.com"])
async def test_ecr_public_has_an_api_of_its_own(aws: Aws, host: str) -> None:
    issued = await issue(source(aws, KEY, host))

    assert issued.credential.username == "AWS"
    assert aws.accepts(issued.credential.password.reveal())
    assert_left(issued, TWELVE_HOURS)
    assert aws.actions == ["ecr-public:GetAuthorizationToken"]


async def test_an_endpoint_may_end_in_a_slash(aws: Aws) -> None:
    issued = await issue(source(aws, endpoint=f"{aws.url}/"))

    assert aws.accepts(issued.credential.password.reveal())


@pytest.mark.parametrize(
    ("host", "api", "sts"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "api.ecr.eu-west-1.amazonaws.com",
            "sts.eu-west-1.amazonaws.com",
        ),
        (
            "123456789012.dkr-ecr.eu-west-1.on.aws",
            "api.ecr.eu-west-1.amazonaws.com",
            "sts.eu-west-1.amazonaws.com",
        ),
        (
            "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
            "ecr-fips.us-east-1.amazonaws.com",
            "sts-fips.us-east-1.amazonaws.com",
        ),
        (
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "ecr-fips.us-gov-west-1.amazonaws.com",
            "sts.us-gov-west-1.amazonaws.com",
        ),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "api.ecr.cn-north-1.amazonaws.com.cn",
            "sts.cn-north-1.amazonaws.com.cn",
        ),
        (
            "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
            "api.ecr.us-iso-east-1.c2s.ic.gov",
            "sts.us-iso-east-1.c2s.ic.gov",
        ),
        (
            "public.ecr.aws",
            "api.ecr-public.us-east-1.amazonaws.com",
            "sts.us-east-1.amazonaws.com",
        ),
    ],
)
async def test_the_host_says_which_apis_are_asked(host: str, api: str, sts: str) -> None:
    asked = []

    async def resolve(name: str, port: int) -> tuple[str, ...]:
        asked.append((name, port))
        return ()

    service = TokenService(AddressGuard(resolve=resolve), ssl.create_default_context())
    for options in ({}, {"role_arn": ROLE}):
        wanted = sources.source("amazon_ecr", host, KEY, **options)
        with pytest.raises(ExchangeRejected):
            await EcrExchanger(service, ambient=False).exchange(wanted, datetime.now(UTC))
    assert asked == [(api, 443), (sts, 443)]


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "aws/eu-west-1"),
        ("999999999999.dkr.ecr.eu-west-1.amazonaws.com", "aws/eu-west-1"),
        ("999999999999.dkr-ecr.eu-west-1.on.aws", "aws/eu-west-1"),
        ("*.dkr.ecr.eu-west-1.amazonaws.com", "aws/eu-west-1"),
        ("999999999999.dkr.ecr.us-east-1.amazonaws.com", "aws/us-east-1"),
        ("999999999999.dkr.ecr.us-gov-west-1.amazonaws.com", "aws-us-gov/us-gov-west-1"),
        ("999999999999.dkr.ecr.cn-north-1.amazonaws.com.cn", "aws-cn/cn-north-1"),
        ("public.ecr.aws", "aws/public"),
        ("ecr-public.aws.com", "aws/public"),
    ],
)
def test_hosts_of_a_partition_and_region_share(host: str, scope: str) -> None:
    assert exchanger().scope(host) == scope


@pytest.mark.parametrize("host", ["*.dkr.ecr.*.amazonaws.com", "1*.dkr.ecr.eu-*.amazonaws.com"])
async def test_a_host_without_its_region_is_asked_for_an_image(aws: Aws, host: str) -> None:
    with pytest.raises(ExchangeRejected, match="Ask with an image") as refused:
        await issue(source(aws, KEY, host))
    assert refused.value.code == "host_needed"
    with pytest.raises(ExchangeRejected):
        exchanger().scope(host)
    assert aws.calls == []


async def test_a_role_is_assumed(aws: Aws) -> None:
    aws.roles = {ROLE: AwsRole(external_id="tenant:7/u")}
    aws.region = "eu-west-1"

    issued = await issue(source(aws, role_arn=ROLE, external_id="tenant:7/u", session_name="ci"))

    assert aws.accepts(issued.credential.password.reveal())
    assert aws.actions == ["sts:AssumeRole", "ecr:GetAuthorizationToken"]
    assert b"RoleSessionName=ci&" in aws.calls[0].body
    assert "x-amz-security-token" in aws.calls[1].headers


async def test_a_session_is_named_after_pullpass_unless_told(aws: Aws) -> None:
    await issue(source(aws, role_arn=ROLE))

    assert b"RoleSessionName=pullpass&" in aws.calls[0].body


@pytest.mark.parametrize(
    ("options", "role"),
    [
        ({}, AwsRole(external_id="tenant-7")),
        ({"external_id": "tenant-8"}, AwsRole(external_id="tenant-7")),
        ({}, AwsRole(trusts=("AKIASOMEBODYELSE0000",))),
    ],
)
async def test_a_role_that_trusts_others_is_refused(
    aws: Aws, options: dict[str, str], role: AwsRole
) -> None:
    aws.roles = {ROLE: role}

    with pytest.raises(ExchangeRejected, match="sts:AssumeRole") as refused:
        await issue(source(aws, role_arn=ROLE, **options))
    assert refused.value.details == {"aws_error": "AccessDenied"}


UNKNOWN_KEY = Credential("AKIADELETED000000000", Secret(SECRET_ACCESS_KEY))


@pytest.mark.parametrize(
    ("creds", "options", "error", "sentence"),
    [
        (WRONG_SECRET, {}, "InvalidSignatureException", "secret access key does not belong"),
        (WRONG_SECRET, {"role_arn": ROLE}, "SignatureDoesNotMatch", "secret access key does not"),
        (UNKNOWN_KEY, {}, "UnrecognizedClientException", "does not know the access key id"),
        (UNKNOWN_KEY, {"role_arn": ROLE}, "InvalidClientTokenId", "does not know the access key"),
    ],
)
async def test_a_wrong_key_is_rejected_at_the_first_call(
    aws: Aws, creds: Credential, options: dict[str, str], error: str, sentence: str
) -> None:
    with pytest.raises(ExchangeRejected, match=sentence) as refused:
        await issue(source(aws, creds, **options))
    assert refused.value.details == {"aws_error": error}
    assert len(aws.calls) == 1


async def test_a_key_without_the_permission_is_told_which_one(aws: Aws) -> None:
    aws.keys[ACCESS_KEY_ID].denied = {"ecr:GetAuthorizationToken"}

    with pytest.raises(ExchangeRejected, match="ecr:GetAuthorizationToken"):
        await issue(source(aws))


async def test_a_key_that_has_expired_is_rejected(aws: Aws) -> None:
    aws.keys[ACCESS_KEY_ID].expires = aws.time() - 1

    with pytest.raises(ExchangeRejected, match="expired"):
        await issue(source(aws))


@pytest.mark.parametrize("options", [{}, {"role_arn": ROLE}], ids=["key", "role"])
async def test_no_secret_is_shown_or_logged(
    aws: Aws, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = await issue(source(aws, **options))
    errors: list[ExchangeFailed] = []
    for creds in (KEY, WRONG_SECRET, UNKNOWN_KEY):
        for refusal in (None, AwsError("ValidationError", f"{SECRET_ACCESS_KEY} is invalid")):
            aws.refusal = refusal
            try:
                await issue(source(aws, creds, **options))
            except ExchangeFailed as error:
                errors.append(error)
    shown = repr(issued) + caplog.text
    shown += "".join(f"{error!s} {error!r} {error.details!r}" for error in errors)

    assert len(errors) == 5
    secrets = [*aws.issued, SECRET_ACCESS_KEY, WRONG_SECRET.password.reveal()]
    for key in aws.keys.values():
        secrets += [key.secret, key.session_token or key.secret]
    for secret in secrets:
        assert secret not in shown


async def test_nothing_is_revoked(aws: Aws) -> None:
    await exchanger().revoke(source(aws), "handle")

    assert aws.calls == []
