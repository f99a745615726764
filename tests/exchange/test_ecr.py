"""Amazon ECR, against moto behind a stand-in that verifies signatures as AWS does."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.session
import pytest

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.ecr import EcrExchanger
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Limits
from tests.exchange import sources
from tests.parts.aws import (
    ACCESS_KEY_ID,
    ROLE,
    SECRET_ACCESS_KEY,
    WEB_IDENTITY,
    Aws,
    AwsError,
    AwsKey,
    AwsRole,
)
from tests.parts.stand_in import GARBAGE, HUGE, failing, redirect, throttled
from tests.parts.wire import Scripted, answer, wire_server

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY = Credential(ACCESS_KEY_ID, Secret(SECRET_ACCESS_KEY))
TWELVE_HOURS = timedelta(hours=12)
# What a request takes, and what Date cuts off.
SLACK = timedelta(seconds=30)


def exchanger(
    *, ambient: bool = False, allow: str = "127.0.0.0/8", seconds: float = 10
) -> EcrExchanger:
    guard = AddressGuard(parse_networks(allow))
    limits = Limits(request_seconds=seconds, total_seconds=seconds, body_bytes=1024 * 1024)
    return EcrExchanger(TokenService(guard, ssl.create_default_context(), limits), ambient=ambient)


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


WRONG_SECRET = Credential(ACCESS_KEY_ID, Secret("w" * 40))
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


async def test_the_clients_of_aws_itself_are_taken_by_the_stand_in(
    aws: Aws, no_identity: pytest.MonkeyPatch
) -> None:
    """So that what it verifies is what AWS verifies."""

    def ask() -> dict[str, object]:
        session = botocore.session.Session()
        session.set_credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
        client = session.create_client("ecr", region_name="eu-west-1", endpoint_url=aws.url)
        found: dict[str, object] = client.get_authorization_token()["authorizationData"][0]
        return found

    assert (await asyncio.to_thread(ask))["authorizationToken"]


@pytest.fixture
def no_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without any AWS identity."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return monkeypatch


Arrange = Callable[[pytest.MonkeyPatch, Aws, Path], None]


def by_environment(env: pytest.MonkeyPatch, aws: Aws, folder: Path) -> None:
    env.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
    env.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)


def by_session_in_the_environment(env: pytest.MonkeyPatch, aws: Aws, folder: Path) -> None:
    aws.keys["ASIASESSION000000000"] = AwsKey("session-secret", "session-token")
    env.setenv("AWS_ACCESS_KEY_ID", "ASIASESSION000000000")
    env.setenv("AWS_SECRET_ACCESS_KEY", "session-secret")
    env.setenv("AWS_SESSION_TOKEN", "session-token")


def by_web_identity(env: pytest.MonkeyPatch, aws: Aws, folder: Path) -> None:
    (folder / "token").write_text(WEB_IDENTITY)
    env.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(folder / "token"))
    env.setenv("AWS_ROLE_ARN", ROLE)
    env.setenv("AWS_ENDPOINT_URL_STS", aws.url)


def by_instance_profile(env: pytest.MonkeyPatch, aws: Aws, folder: Path) -> None:
    env.delenv("AWS_EC2_METADATA_DISABLED")
    env.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url)


@pytest.mark.parametrize(
    "arrange",
    [by_environment, by_session_in_the_environment, by_web_identity, by_instance_profile],
)
async def test_the_servers_own_identity(
    aws: Aws, no_identity: pytest.MonkeyPatch, tmp_path: Path, arrange: Arrange
) -> None:
    arrange(no_identity, aws, tmp_path)

    issued = await issue(source(aws, None), ambient=True)

    assert aws.accepts(issued.credential.password.reveal())
    assert_left(issued, TWELVE_HOURS)


async def test_the_servers_own_identity_may_assume_a_role(
    aws: Aws, no_identity: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_environment(no_identity, aws, tmp_path)

    await issue(source(aws, None, role_arn=ROLE), ambient=True)

    assert aws.actions == ["sts:AssumeRole", "ecr:GetAuthorizationToken"]


async def test_the_servers_own_identity_is_not_lent_unless_switched_on(
    aws: Aws, no_identity: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_environment(no_identity, aws, tmp_path)

    with pytest.raises(ExchangeRejected, match="PULLPASS_AMBIENT_IDENTITY") as refused:
        await issue(source(aws, None))
    assert refused.value.code == "ambient_identity_off"
    assert aws.calls == []


async def test_a_stored_key_is_used_though_the_server_has_an_identity(
    aws: Aws, no_identity: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_session_in_the_environment(no_identity, aws, tmp_path)

    await issue(source(aws), ambient=True)

    assert ACCESS_KEY_ID in aws.calls[0].headers["authorization"]


async def test_a_server_without_an_identity_says_so(
    aws: Aws, no_identity: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExchangeRejected) as refused:
        await issue(source(aws, None), ambient=True)
    assert refused.value.code == "ambient_identity_missing"


async def test_a_web_identity_that_aws_does_not_take_is_rejected(
    aws: Aws, no_identity: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_web_identity(no_identity, aws, tmp_path)
    (tmp_path / "token").write_text("another token")
    with pytest.raises(ExchangeRejected, match="web identity token"):
        await issue(source(aws, None), ambient=True)

    (tmp_path / "token").unlink()
    with pytest.raises(ExchangeUnavailable, match="FileNotFoundError"):
        await issue(source(aws, None), ambient=True)


@pytest.mark.parametrize(
    ("region", "asked"),
    [
        (None, "sts.cn-north-1.amazonaws.com.cn:443"),
        ("cn-northwest-1", "sts.cn-northwest-1.amazonaws.com.cn:443"),
    ],
)
async def test_a_web_identity_is_exchanged_in_the_registrys_region_unless_told(
    aws: Aws,
    no_identity: pytest.MonkeyPatch,
    tmp_path: Path,
    region: str | None,
    asked: str,
) -> None:
    by_web_identity(no_identity, aws, tmp_path)
    no_identity.delenv("AWS_ENDPOINT_URL_STS")
    if region:
        no_identity.setenv("AWS_DEFAULT_REGION", region)
    host = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
    with wire_server(Scripted(502)) as proxy:
        no_identity.setenv("HTTPS_PROXY", proxy.url)

        with pytest.raises(ExchangeUnavailable, match="ProxyConnectionError"):
            await issue(source(aws, None, host), ambient=True)

        assert {request.target for request in proxy.requests} == {asked}


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
