"""AWS KMS, by moto behind a stand-in that verifies signatures as AWS does."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pullpass.domain.errors import ExchangeRejected, ExchangeThrottled, ExchangeUnavailable
from pullpass.exchange.addresses import AddressGuard, parse_networks
from pullpass.exchange.aws_kms import AwsKmsKey
from pullpass.exchange.token_service import TokenService
from tests.parts.aws import Aws, AwsError
from tests.parts.kms import KmsKeys, identity
from tests.parts.stand_in import GARBAGE, failing
from tests.parts.wire import answer

PLAIN = b"plain-canary-88"


@pytest.fixture
def aws(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in identity(tmp_path).items():
        monkeypatch.setenv(name, value)
    return aws


@pytest.fixture
def keys(moto: str) -> KmsKeys:
    return KmsKeys(moto)


def kms(aws: Aws, arn: str) -> AwsKmsKey:
    guard = AddressGuard(parse_networks("127.0.0.0/8"))
    service = TokenService(guard, ssl.create_default_context())
    return AwsKmsKey(f"aws-kms://{arn}", service, lambda: datetime.now(UTC), endpoint=aws.url)


async def test_what_is_wrapped_opens_again_for_the_same_deployment_alone(
    aws: Aws, keys: KmsKeys
) -> None:
    key = kms(aws, keys.create())
    wrapped = await key.wrap(PLAIN, "one")
    assert PLAIN not in wrapped
    assert await key.unwrap(wrapped, "one") == PLAIN
    again = await key.rewrap(wrapped, "one")
    assert again != wrapped
    assert await key.unwrap(again, "one") == PLAIN
    for value in (wrapped, again):
        with pytest.raises(ExchangeRejected, match="altered, or wrapped for another deployment"):
            await key.unwrap(value, "two")
    with pytest.raises(ExchangeRejected):
        await key.rewrap(wrapped, "two")
    assert aws.actions[:3] == ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt"]


async def test_another_key_does_not_open_it(aws: Aws, keys: KmsKeys) -> None:
    wrapped = await kms(aws, keys.create()).wrap(PLAIN, "one")
    with pytest.raises(ExchangeRejected):
        await kms(aws, keys.create()).unwrap(wrapped, "one")


async def test_a_key_that_cannot_be_used_says_why(aws: Aws, keys: KmsKeys) -> None:
    nowhere = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    with pytest.raises(ExchangeRejected, match="does not know the key"):
        await kms(aws, nowhere).wrap(PLAIN, "one")
    # moto lets disabled keys be used.
    aws.refusal = AwsError("DisabledException", "")
    with pytest.raises(ExchangeRejected, match="disabled"):
        await kms(aws, keys.create()).wrap(PLAIN, "one")
    aws.refusal = AwsError("AccessDeniedException", f"User: x {PLAIN.decode()}")
    with pytest.raises(ExchangeRejected, match="kms:Encrypt: grant it") as refused:
        await kms(aws, nowhere).wrap(PLAIN, "one")
    assert "canary" not in refused.value.message


async def test_what_is_no_answer_is_tried_again_later(aws: Aws, keys: KmsKeys) -> None:
    key = kms(aws, keys.create())
    aws.refusal = AwsError("ThrottlingException", "Rate exceeded")
    with pytest.raises(ExchangeThrottled):
        await key.wrap(PLAIN, "one")
    aws.refusal = AwsError("KMSInternalException", "", 500)
    with pytest.raises(ExchangeUnavailable):
        await key.wrap(PLAIN, "one")
    for fault in (failing(), GARBAGE, answer({"CiphertextBlob": "%"}), answer({})):
        aws.fault = fault
        with pytest.raises(ExchangeUnavailable):
            await key.wrap(PLAIN, "one")


@pytest.mark.parametrize(
    "uri",
    [
        "aws-kms://",
        "aws-kms://alias/pullpass",
        "aws-kms://arn:aws:s3:::bucket",
        "aws-kms://arn:aws:kms:eu-west-1:123456789012:key/../x",
        "aws-kms://arn:aws-moon:kms:eu-west-1:123456789012:key/x",
    ],
)
def test_what_names_no_key_is_refused(uri: str) -> None:
    service = TokenService(AddressGuard(), ssl.create_default_context())
    with pytest.raises(ValueError, match="expected aws-kms://arn:"):
        AwsKmsKey(uri, service, lambda: datetime.now(UTC))
