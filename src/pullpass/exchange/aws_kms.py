"""AWS KMS: a symmetric key that wraps the master key.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html, API_Decrypt.html and
API_ReEncrypt.html. The encryption context is authenticated, stands in CloudTrail, and key policies
can ask for it (https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from pullpass.domain.errors import ExchangeUnavailable
from pullpass.domain.registry_hosts import AWS_DOMAINS
from pullpass.exchange.aws_identity import ambient_keys
from pullpass.exchange.aws_request import AwsCalls, Endpoint
from pullpass.exchange.token_service import TokenService

SCHEME = "aws-kms://"
EXPECTED = "aws-kms://arn:aws:kms:<region>:<account>:key/<id>, or the same with alias/<name>"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):kms:(?P<region>[a-z0-9-]+):[0-9]{12}:"
    r"(?:key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]+)",
    re.ASCII,
)


class AwsKmsKey:
    """The key that ``uri`` names by its ARN, asked as the server's own AWS identity."""

    def __init__(
        self,
        uri: str,
        service: TokenService,
        clock: Callable[[], datetime],
        *,
        endpoint: str | None = None,
    ) -> None:
        """``endpoint``: the URL of the API, where it is not the region's own.

        Raises:
            ValueError: ``uri`` is not as EXPECTED.
        """
        self._arn = uri.removeprefix(SCHEME)
        found = _ARN.fullmatch(self._arn)
        if found is None or found["partition"] not in AWS_DOMAINS:
            raise ValueError(f"is no key of AWS KMS; expected {EXPECTED}")
        region = found["region"]
        url = endpoint or f"https://kms.{region}.{AWS_DOMAINS[found['partition']]}"
        self._endpoint = Endpoint("AWS KMS", url, "kms", region)
        self._service = service
        self._clock = clock

    @property
    def uri(self) -> str:
        return f"{SCHEME}{self._arn}"

    async def wrap(self, plain: bytes, deployment: str) -> bytes:
        fields = {
            "KeyId": self._arn,
            "Plaintext": base64.b64encode(plain).decode(),
            "EncryptionContext": _context(deployment),
        }
        return await self._call("Encrypt", fields, "CiphertextBlob")

    async def unwrap(self, wrapped: bytes, deployment: str) -> bytes:
        fields = {
            "KeyId": self._arn,
            "CiphertextBlob": base64.b64encode(wrapped).decode(),
            "EncryptionContext": _context(deployment),
        }
        return await self._call("Decrypt", fields, "Plaintext")

    async def rewrap(self, wrapped: bytes, deployment: str) -> bytes:
        fields = {
            "CiphertextBlob": base64.b64encode(wrapped).decode(),
            "SourceKeyId": self._arn,
            "SourceEncryptionContext": _context(deployment),
            "DestinationKeyId": self._arn,
            "DestinationEncryptionContext": _context(deployment),
        }
        return await self._call("ReEncrypt", fields, "CiphertextBlob")

    async def _call(self, action: str, fields: Mapping[str, object], wanted: str) -> bytes:
        keys = await ambient_keys(self._endpoint.region)
        answer = await AwsCalls(self._service, self._clock()).post(
            self._endpoint,
            keys,
            action=f"kms:{action}",
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": f"TrentService.{action}",
            },
            body=json.dumps(fields).encode(),
        )
        try:
            value = base64.b64decode(answer.text(wanted), validate=True)
        except binascii.Error:
            value = b""
        if not value:
            raise ExchangeUnavailable(f"AWS KMS answers {action} without a {wanted}.")
        return value


def _context(deployment: str) -> dict[str, str]:
    return {"pullpass:purpose": "master-key", "pullpass:deployment": deployment}
