"""OAuth 2.0 token exchange (RFC 8693): an identity token for a token of Pullpass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.responses import Response

from pullpass.api import errors
from pullpass.api.call import Call, answer
from pullpass.api.models.trust import (
    OAuthErrorResponse,
    TokenExchangeRequest,
    TokenExchangeResponse,
)
from pullpass.api.operation import Entry, Operation
from pullpass.broker.origin import origin_of
from pullpass.domain.credential import Secret
from pullpass.domain.errors import (
    ExchangeRequestRefused,
    InvalidInput,
    PullpassError,
    TooManyAttempts,
    Unavailable,
)

_FORM = "application/x-www-form-urlencoded"
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
_TAKEN_TYPES = (
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
)
_LONGEST_BODY = 64 * 1024
_MOST_PARAMETERS = 50


async def exchange_token(call: Call) -> Response:
    form = _parameters(
        call.request.headers.get("content-type", ""), await call.raw_body(_LONGEST_BODY)
    )
    if form.get("grant_type", _GRANT) != _GRANT:
        raise ExchangeRequestRefused(
            f"The grant_type is not {_GRANT}.", code="unsupported_grant_type"
        )
    for name in ("grant_type", "subject_token", "subject_token_type", "audience"):
        if name not in form:
            raise ExchangeRequestRefused(f"The parameter {name} is missing.")
    if form["subject_token_type"] not in _TAKEN_TYPES:
        expected = " or ".join(_TAKEN_TYPES)
        raise ExchangeRequestRefused(f"The subject_token_type is not {expected}.")
    if form.get("requested_token_type", _ACCESS_TOKEN) != _ACCESS_TOKEN:
        raise ExchangeRequestRefused(f"The requested_token_type is not {_ACCESS_TOKEN}.")
    if "actor_token" in form or "actor_token_type" in form:
        raise ExchangeRequestRefused("An actor_token is given, and delegation is not supported.")
    if "resource" in form:
        raise ExchangeRequestRefused(
            "A resource is given; the organization is named by audience.", code="invalid_target"
        )
    exchanged = await call.services.federation.exchange(
        form["audience"],
        Secret(form["subject_token"]),
        form.get("scope"),
        origin_of(call.request.scope, 200),
    )
    return answer(
        TokenExchangeResponse(
            exchanged.token.reveal(),
            _ACCESS_TOKEN,
            "Bearer",
            exchanged.seconds,
            exchanged.rule_id,
        ),
        headers={"Pragma": "no-cache"},
    )


def refuse(error: PullpassError) -> Response:
    """The error as RFC 6749 section 5.2 has it: its code in `error`, the sentence in
    `error_description`, which may hold no quotes of the kind that JSON escapes.
    """
    plain = errors.error_response(error)
    if isinstance(error, ExchangeRequestRefused):
        name = error.code
    elif isinstance(error, InvalidInput):
        name = ExchangeRequestRefused.default_code
    else:
        passing = isinstance(error, (TooManyAttempts, Unavailable))
        name = "temporarily_unavailable" if passing else "server_error"
    sentence = msgspec.json.decode(plain.body)["error"]
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if "retry-after" in plain.headers:
        headers["Retry-After"] = plain.headers["retry-after"]
    content = OAuthErrorResponse(name, sentence, error.code)
    return answer(content, plain.status_code, headers)


def _parameters(content_type: str, body: bytes) -> Mapping[str, str]:
    """The form; one without a value counts as absent (RFC 6749 section 3.2).

    Raises:
        ExchangeRequestRefused: it is no form, or a parameter is given twice.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise ExchangeRequestRefused(f"The Content-Type is not {_FORM}.")
    try:
        pairs = (
            parse_qsl(
                body.decode(), strict_parsing=True, errors="strict", max_num_fields=_MOST_PARAMETERS
            )
            if body
            else []
        )
    except ValueError:
        raise ExchangeRequestRefused("The body is not a form in UTF-8.") from None
    form = {name: value for name, value in pairs if value}
    names = [name for name, value in pairs if value]
    for name in sorted(form):
        if names.count(name) > 1:
            code = "invalid_target" if name == "audience" else None
            raise ExchangeRequestRefused("A parameter is given more than once.", code=code)
    return form


OPERATIONS = (
    Operation(
        "exchangeToken",
        "POST",
        "/token",
        Entry.PUBLIC,
        exchange_token,
        "Trust",
        "Gives a short-lived Pullpass token for an identity token, by a trust rule (RFC 8693).",
        answer=TokenExchangeResponse,
        body=TokenExchangeRequest,
        body_type=_FORM,
        errors=(400, 413, 429),
        refuse=refuse,
        refusal=OAuthErrorResponse,
        description="Errors are as RFC 6749 section 5.2 has them, with the `code` of this API. "
        "An organization that is not there, one without a fitting rule, and a token that is not "
        "valid are all the same `invalid_grant`.",
    ),
)
