"""What ECR and STS answer that is of no use, and clocks that are wrong."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from tests.exchange.ecr import TWELVE_HOURS, WRONG_SECRET, assert_left, exchanger, issue, source
from tests.parts.aws import ACCESS_KEY_ID, ROLE, Aws, AwsError
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect, throttled
from tests.parts.wire import Scripted, answer


@pytest.mark.parametrize("options", [{}, {"role_arn": ROLE}], ids=["ecr", "sts"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("UnrecognizedClientException", ExchangeRejected),
        ("InvalidClientTokenId", ExchangeRejected),
        ("SignatureDoesNotMatch", ExchangeRejected),
        ("InvalidSignatureException", ExchangeRejected),
        ("AccessDenied", ExchangeRejected),
        ("AccessDeniedException", ExchangeRejected),
        ("ExpiredToken", ExchangeRejected),
        ("ExpiredTokenException", ExchangeRejected),
        ("RegionDisabledException", ExchangeRejected),
        ("ValidationError", ExchangeRejected),
        # With a namespace before it, or an address behind it (Smithy, AWS JSON 1.1).
        ("com.amazon.coral.service#UnrecognizedClientException", ExchangeRejected),
        ("AccessDeniedException:http://internal.amazon.com/coral/", ExchangeRejected),
        # These come with status 400.
        ("Throttling", ExchangeThrottled),
        ("ThrottlingException", ExchangeThrottled),
        ("ThrottleException", ExchangeThrottled),
        ("TooManyRequestsException", ExchangeThrottled),
        ("RequestTimeTooSkewed", ExchangeUnavailable),
        ("RequestExpired", ExchangeUnavailable),
        ("InternalFailure", ExchangeUnavailable),
        ("SomethingOfNextYear", ExchangeUnavailable),
        ("", ExchangeUnavailable),
    ],
)
async def test_the_errors_of_aws(
    aws: Aws, options: dict[str, str], error: str, kind: type[ExchangeFailed]
) -> None:
    aws.refusal = AwsError(error, f"The request of {ACCESS_KEY_ID} was not taken")

    with pytest.raises(kind) as refused:
        await issue(source(aws, **options))
    assert ACCESS_KEY_ID not in str(refused.value)


async def test_throttling_says_when_to_come_back_where_aws_does(aws: Aws) -> None:
    aws.refusal = AwsError("ThrottlingException", "Rate exceeded")
    with pytest.raises(ExchangeThrottled) as refused:
        await issue(source(aws))
    assert refused.value.retry_after is None

    aws.refusal = AwsError("ThrottlingException", "Rate exceeded", 400, (("Retry-After", "17"),))
    with pytest.raises(ExchangeThrottled) as refused:
        await issue(source(aws))
    assert refused.value.retry_after == 17

    aws.refusal = None
    aws.fault = throttled(23)
    with pytest.raises(ExchangeThrottled) as refused:
        await issue(source(aws))
    assert refused.value.retry_after == 23


def token(text: bytes = b"AWS:password", **fields: object) -> Scripted:
    data = {
        "authorizationToken": base64.b64encode(text).decode(),
        "expiresAt": datetime.now(UTC).timestamp() + 43200,
    }
    return answer({"authorizationData": [data | fields]})


UNUSABLE = {
    "garbage": GARBAGE,
    "huge": HUGE,
    "failing": failing(500),
    "unavailable": failing(503),
    "redirect": redirect("http://127.0.0.1:1/"),
    "an empty object": answer({}),
    "no data": answer({"authorizationData": []}),
    "data of another kind": answer({"authorizationData": [7]}),
    "a list": answer([]),
    "XML": Scripted(200, b"<GetAuthorizationTokenResponse/>"),
    "no colon": token(b"AWS"),
    "no password": token(b"AWS:"),
    "another user": token(b"root:password"),
    "no text": token(b"AWS:\xff"),
    "no Base64": token(authorizationToken="AWS:password"),
    "a token of another kind": token(authorizationToken=7),
    "no end": token(expiresAt=None),
    "an end in words": token(expiresAt="2030-01-01T00:00:00Z"),
    "an end that is true": token(expiresAt=True),
    "an end in the past": token(expiresAt=1420070400.0),
    "an end in milliseconds": token(expiresAt=1.9e12),
    "an end in a century": token(expiresAt=5e9),
    "an end of a thousand digits": token(expiresAt=10**1000),
    "an endless end": token(expiresAt=float("inf")),
    "an end that is no number": token(expiresAt=float("nan")),
}


@pytest.mark.parametrize("fault", UNUSABLE.values(), ids=UNUSABLE)
async def test_an_answer_that_cannot_be_used(aws: Aws, fault: Scripted) -> None:
    aws.fault = fault

    with pytest.raises(ExchangeUnavailable):
        await issue(source(aws))
    assert len(aws.calls) == 1, "nothing is tried twice, no redirect is followed"


KEYS = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
    "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    "<SessionToken>t</SessionToken></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"{}",
        KEYS.format("").encode(),
        KEYS.format("ASIA0000000000000000").encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY b "ASIA0000000000000000">]>' + KEYS.format("&b;").encode(),
        KEYS.encode()[:100],
    ],
)
async def test_an_answer_of_sts_that_cannot_be_used(aws: Aws, body: bytes) -> None:
    aws.fault = Scripted(200, body, {"Content-Type": "text/xml"})

    with pytest.raises(ExchangeUnavailable, match="AWS STS"):
        await issue(source(aws, role_arn=ROLE))
    assert len(aws.calls) == 1


async def test_aws_out_of_reach_slow_and_back(aws: Aws) -> None:
    wanted = source(aws)
    aws.stop()
    with pytest.raises(ExchangeUnavailable):
        await issue(wanted)
    aws.start()
    aws.delay = 60
    with pytest.raises(ExchangeUnavailable, match="in time"):
        await exchanger(seconds=0.2).exchange(wanted, datetime.now(UTC))
    aws.delay = 0
    assert aws.accepts((await issue(wanted)).credential.password.reveal())


@pytest.mark.parametrize("options", [{"endpoint": "{}"}, {"role_arn": ROLE, "sts_endpoint": "{}"}])
async def test_an_endpoint_is_reached_only_where_the_operator_allows_it(
    aws: Aws, options: dict[str, str]
) -> None:
    pointed = {name: value.format(aws.url) for name, value in options.items()}

    with pytest.raises(ExchangeRejected, match="PULLPASS_ALLOW_NETWORKS"):
        await exchanger(allow="").exchange(source(aws, **pointed), datetime.now(UTC))
    assert aws.calls == []


@pytest.mark.parametrize("options", [{}, {"role_arn": ROLE}], ids=["key", "role"])
@pytest.mark.parametrize("ahead", [-300, -60, 0, 60, 300])
@pytest.mark.parametrize("life", [900, 43200])
async def test_a_wrong_clock_moves_no_expiry(
    aws: Aws, options: dict[str, str], ahead: float, life: float
) -> None:
    aws.lifetime = life

    issued = await issue(source(aws, **options), ahead=ahead)

    assert_left(issued, timedelta(seconds=life), ahead=ahead)
    assert len(aws.calls) == 1 + len(options)


@pytest.mark.parametrize("ahead", [-300, 300])
async def test_the_upstreams_clock_may_be_the_wrong_one(aws: Aws, ahead: float) -> None:
    aws.skew = ahead

    assert_left(await issue(source(aws)), TWELVE_HOURS)


async def test_no_token_is_believed_to_live_longer_than_they_do(aws: Aws) -> None:
    aws.lifetime = 14 * 3600

    assert_left(await issue(source(aws)), TWELVE_HOURS)


@pytest.mark.parametrize("ahead", [-7200, -1200, 1200, 7200])
async def test_a_clock_that_aws_refuses_is_corrected_once(aws: Aws, ahead: float) -> None:
    issued = await issue(source(aws, role_arn=ROLE), ahead=ahead)

    assert_left(issued, TWELVE_HOURS, ahead=ahead)
    assert aws.actions == ["sts:AssumeRole", "sts:AssumeRole", "ecr:GetAuthorizationToken"]


async def test_a_wrong_secret_is_no_matter_of_the_clock(aws: Aws) -> None:
    with pytest.raises(ExchangeRejected, match="secret access key does not belong"):
        await issue(source(aws, WRONG_SECRET), ahead=1200)
    assert len(aws.calls) == 2


async def test_a_clock_that_cannot_be_corrected_is_named(aws: Aws) -> None:
    aws.refusal = AwsError("InvalidSignatureException", "Signature expired: 1 is now earlier than")

    with pytest.raises(ExchangeUnavailable, match="clock") as refused:
        await issue(source(aws))
    assert refused.value.code == "clock_skew"
    assert len(aws.calls) == 2
