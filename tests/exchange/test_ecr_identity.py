"""Amazon ECR by the identity that the server has in AWS itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import botocore.session
import pytest

from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from tests.exchange import sources
from tests.exchange.ecr import HOST, TWELVE_HOURS, assert_left, issue, source
from tests.parts.aws import ACCESS_KEY_ID, ROLE, SECRET_ACCESS_KEY, WEB_IDENTITY, Aws, AwsKey
from tests.parts.wire import Scripted, wire_server


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


@pytest.mark.parametrize("option", ["endpoint", "sts_endpoint"])
@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("api.ecr.eu-west-1.amazonaws.com", True),
        ("sts.eu-west-1.amazonaws.com", True),
        ("ecr.eu-west-1.api.aws", True),
        ("vpce-0a1b-c2d.api.ecr.eu-west-1.vpce.amazonaws.com", True),
        ("vpce-0a1b-c2d.sts.eu-west-1.vpce.amazonaws.com", True),
        ("evil.example", False),
        ("sts.eu-west-1.amazonaws.com.evil.example", False),
        # Names that any customer of Amazon can have.
        ("x1.execute-api.eu-west-1.amazonaws.com", False),
        ("sts.eu-west-1.elb.amazonaws.com", False),
        ("vpce-0a1b.vpce-svc-0c2d.eu-west-1.vpce.amazonaws.com", False),
        ("sts.s3.eu-west-1.amazonaws.com", False),
        ("sts.us-east-1.amazonaws.com", False),
    ],
)
async def test_the_servers_own_identity_is_shown_to_amazon_alone(
    aws: Aws, no_identity: pytest.MonkeyPatch, option: str, host: str, shown: bool
) -> None:
    # There is none to be found, which is said where the host may see it.
    code = "ambient_identity_missing" if shown else "ambient_endpoint_refused"
    for scheme, expected in (("https", code), ("http", "ambient_endpoint_refused")):
        wanted = sources.source(
            "amazon_ecr", HOST, None, role_arn=ROLE, **{option: f"{scheme}://{host}"}
        )
        with pytest.raises(ExchangeRejected) as refused:
            await issue(wanted, ambient=True)
        assert refused.value.code == expected


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
