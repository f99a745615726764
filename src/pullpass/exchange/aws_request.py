"""Requests to AWS services: signed (Signature Version 4), and their errors by what to do.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html; the errors are those of
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html and
https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from pullpass.domain.credential import Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.exchange.token_service import ServiceAnswer, TokenService
from pullpass.exchange.upstream import Outgoing

_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "ThrottleException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
    }
)
_UNKNOWN_KEY = "does not know the access key id (deleted, deactivated, or of another partition)"
_WRONG_SECRET = "says that the secret access key does not belong to the access key id"  # noqa: S105
_DENIED = "does not allow this identity to call {action}: grant it, and check the role's trust"
_EXPIRED = "says that the session token has expired"
_INVALID = "takes one of the record's options for invalid: check role_arn and external_id"
# https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
_KMS = {
    "NotFoundException": "does not know the key: check the account, the region and the id",
    "DisabledException": "says that the key is disabled",
    "KMSInvalidStateException": "says that the key cannot be used: it may wait to be deleted",
    "InvalidKeyUsageException": "says that the key is none for symmetric encryption",
    "IncorrectKeyException": "says that the master key was wrapped by another key",
    "InvalidCiphertextException": (
        "does not open the master key: it was altered, or wrapped for another deployment"
    ),
}
_REJECTED = {
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "InvalidSignatureException": _WRONG_SECRET,
    "IncompleteSignature": _WRONG_SECRET,
    "IncompleteSignatureException": _WRONG_SECRET,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "NotAuthorized": _DENIED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidIdentityToken": "takes the web identity token for invalid",
    "IDPRejectedClaim": "takes the web identity token for invalid",
    "OptInRequired": "is not enabled for this account",
    "RegionDisabledException": "is not enabled in this region for this account",
    "UnsupportedCommandException": "does not know {action} in this region",
    "ValidationError": _INVALID,
    "ValidationException": _INVALID,
    "InvalidParameterException": _INVALID,
    **_KMS,
}
# As the AWS SDKs tell them apart: the first are about the clock, the others may be.
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_CLOCK_PERHAPS = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"})
_CLOCK_MESSAGE = re.compile(r"Signature (?:expired|not yet current)", re.IGNORECASE)
# Well below the five minutes that AWS allows at least.
_TOLERATED_SKEW = 60
_ERROR_TYPE = re.compile(r"(?:.*#)?([A-Za-z]{1,64})(?::.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key, and the session token of one that is temporary."""

    access_key_id: str
    secret: Secret
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``name`` is for messages; ``service`` and ``region`` are what signatures are made for."""

    name: str
    url: str
    service: str
    region: str


class AwsCalls:
    """The calls of one exchange. Where the first one shows that the service's clock is far from
    ours, it is signed once more by the service's clock, and so are the ones that follow.
    """

    def __init__(self, service: TokenService, now: datetime) -> None:
        self._service = service
        self._now = now
        self._offset = timedelta()

    async def post(
        self,
        endpoint: Endpoint,
        keys: Keys,
        *,
        action: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ServiceAnswer:
        """What the service answers, where it does what ``action`` (for messages) says.

        Raises: as ``Exchanger.exchange``.
        """
        answer = await self._once(endpoint, keys, headers, body)
        if answer.date is not None and self._clock_may_be_the_reason(answer):
            self._offset = answer.date - self._now
            answer = await self._once(endpoint, keys, headers, body)
        if answer.status >= 300:
            raise failure(endpoint.name, action, *_error(answer), retry_after=answer.retry_after)
        return answer

    async def _once(
        self, endpoint: Endpoint, keys: Keys, headers: Mapping[str, str], body: bytes
    ) -> ServiceAnswer:
        moment = self._now + self._offset
        # In a thread for the sake of the first time, which imports botocore.
        signed = await asyncio.to_thread(sign, endpoint, keys, headers, body, moment)
        return await self._service.call(
            endpoint.name, endpoint.url, Outgoing("POST", signed, body), as_json=False
        )

    def _clock_may_be_the_reason(self, answer: ServiceAnswer) -> bool:
        if answer.status < 400:
            return False
        error, message = _error(answer)
        if error in _CLOCK or _CLOCK_MESSAGE.match(message):
            return True
        return error in _CLOCK_PERHAPS and abs(answer.skew(self._now)) > _TOLERATED_SKEW


def sign(
    endpoint: Endpoint, keys: Keys, headers: Mapping[str, str], body: bytes, moment: datetime
) -> dict[str, str]:
    """``headers`` and those that sign the POST of ``body`` at ``moment``."""
    # botocore takes long to import, and only this and the ambient identity need it.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    timestamp = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "X-Amz-Date": timestamp}
    token = None
    if keys.session_token is not None:
        token = signed["X-Amz-Security-Token"] = keys.session_token.reveal()
    credentials = ReadOnlyCredentials(keys.access_key_id, keys.secret.reveal(), token)
    auth = SigV4Auth(credentials, endpoint.service, endpoint.region)
    request = AWSRequest("POST", endpoint.url, headers=signed, data=body)
    request.context["timestamp"] = timestamp
    # Not add_auth: it takes the time of this machine, and logs the session token.
    signature = auth.signature(
        auth.string_to_sign(request, auth.canonical_request(request)), request
    )
    names = auth.signed_headers(auth.headers_to_sign(request))
    signed["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return signed


def failure(
    name: str, action: str, error: str, message: str = "", *, retry_after: int | None = None
) -> ExchangeFailed:
    """What an error of the type ``error`` means. Of ``message``, which may repeat what was sent,
    nothing is passed on.
    """
    if error in _THROTTLED:
        return ExchangeThrottled(f"{name} is asked too often.", retry_after=retry_after)
    if error in _CLOCK or _CLOCK_MESSAGE.match(message):
        return ExchangeUnavailable(
            f"{name} refuses the time of the request: the server's clock is wrong. Have it set "
            "by NTP.",
            code="clock_skew",
            details={"aws_error": error},
        )
    if error in _REJECTED:
        reason = _REJECTED[error].format(action=action)
        return ExchangeRejected(f"{name} {reason} ({error}).", details={"aws_error": error})
    return ExchangeUnavailable(
        f"{name} refuses {action} for a reason that Pullpass does not know.",
        retry_after=retry_after,
    )


def parse_xml(body: bytes) -> ElementTree.Element | None:
    """The root of an answer of the query protocol; None where it is not such XML."""
    try:
        text = body.decode()
        # Without a document type there are no entities, and so no bombs made of them.
        return None if "<!" in text else ElementTree.fromstring(text)  # noqa: S314
    except (ValueError, ElementTree.ParseError, RecursionError):
        return None


def _error(answer: ServiceAnswer) -> tuple[str, str]:
    """The type of an error and its message: JSON 1.1 has it in the header field or in `__type`
    (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html), the query protocol in XML.
    """
    text = answer.headers.get("x-amzn-errortype", "") or answer.text("__type")
    message = answer.text("message") or answer.text("Message")
    if not text and (root := parse_xml(answer.body)) is not None:
        text = root.findtext(".//{*}Error/{*}Code", "")
        message = root.findtext(".//{*}Error/{*}Message", "")
    found = _ERROR_TYPE.fullmatch(text.strip())
    return (found[1] if found else ""), message
