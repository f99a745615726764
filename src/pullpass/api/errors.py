"""The one table from domain errors to HTTP, and the error body."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from pullpass.api.models.common import ErrorInfoResponse
from pullpass.domain import errors

STATUS: Mapping[type[errors.PullpassError], int] = {
    errors.InvalidInput: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooManyAttempts: 429,
    errors.RateLimited: 429,
    errors.ExchangeFailed: 502,
    errors.Unavailable: 503,
}


_WITH_RETRY_AFTER = (
    errors.Unavailable,
    errors.ExchangeFailed,
    errors.TooManyAttempts,
    errors.RateLimited,
)


class BodyTooLarge(errors.InvalidInput):
    default_code = "body_too_large"


class BodyTooSlow(errors.InvalidInput):
    default_code = "body_too_slow"


def status_of(error: errors.PullpassError) -> int:
    """The HTTP status of ``error``: its class's, or the nearest parent's; 500 for the rest."""
    if isinstance(error, BodyTooLarge):
        return 413
    if isinstance(error, BodyTooSlow):
        return 408
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def error_response(error: errors.PullpassError) -> Response:
    """The documented error body with the right status and headers (RFC 6750 section 3,
    RFC 9110 section 10.2.3).
    """
    headers: dict[str, str] = {}
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="pullpass"'
    if isinstance(error, _WITH_RETRY_AFTER) and error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    status = status_of(error)
    message = error.message if status < 500 or status in (502, 503) else _INTERNAL
    return body(status, message, error.code, error.details, headers)


def body(
    status: int,
    message: str,
    code: str,
    details: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    content = ErrorInfoResponse(message, code, dict(details) if details else msgspec.UNSET)
    return Response(
        msgspec.json.encode(content), status, dict(headers or {}), media_type="application/json"
    )


_INTERNAL = (
    "Something went wrong on the server. It was logged with the X-Request-Id of this answer."
)


def internal_error() -> Response:
    return body(500, _INTERNAL, "internal_error")
