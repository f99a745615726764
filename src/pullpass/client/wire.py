"""Requests and answers as values: no I/O, so that every driver shares what is here.

An :class:`Operation` is a request together with the reader of its answer. A driver sends
``operation.request`` (under its base URL, with its token) and returns
``operation.read(response)``; when to try again is in ``pullpass.client.retry``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

from pullpass.client import timestamp
from pullpass.client.errors import (
    BY_STATUS,
    ApiError,
    ClientError,
    FieldProblem,
    InvalidAnswer,
    InvalidArgument,
    Refusal,
    Unavailable,
)
from pullpass.client.fields import Fields, NotAsAgreed, decode
from pullpass.client.secret import Secret

T = TypeVar("T")

_BY_PROXIES = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Request:
    """``target`` is the percent-encoded path and query under the base URL.

    ``repeatable``: sending it twice does no more than sending it once.
    """

    method: str
    target: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    request: Request
    reader: Callable[[Response], T]

    def read(self, response: Response) -> T:
        """What the answer holds.

        Raises:
            ApiError: the server refused.
            InvalidAnswer: this is no answer of Pullpass.
        """
        if not 200 <= response.status < 300:
            raise _refused(response)
        try:
            return self.reader(response)
        except NotAsAgreed as error:
            raise _foreign(response, str(error)) from None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; ``next`` asks for the page after it, None on the last."""

    items: tuple[T, ...]
    next: Operation[Page[T]] | None = None


def path(*segments: str) -> str:
    """A path of these segments, each percent-encoded as a whole.

    Raises:
        InvalidArgument: a segment is empty or made of dots, and would name another resource.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise InvalidArgument(f"An id is {segment!r}; expected the id of something that is.")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def get(
    target: str, query: Mapping[str, str | None], reader: Callable[[Response], T]
) -> Operation[T]:
    given = {name: value for name, value in query.items() if value is not None}
    if given:
        target += "?" + urlencode(given, quote_via=quote)
    return Operation(Request("GET", target, repeatable=True), reader)


def send(
    method: str,
    target: str,
    body: object,
    reader: Callable[[Response], T],
    *,
    headers: Mapping[str, str] | None = None,
    repeatable: bool = False,
) -> Operation[T]:
    """An operation with a JSON body, in which secrets and aware times may stand as such.

    Raises:
        InvalidArgument: there is something in it that JSON cannot say.
    """
    try:
        # No variable holds a secret in clear, for tools that show those of a traceback.
        content = json.dumps(body, default=_plain, allow_nan=False).encode()
    except InvalidArgument:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"What is to be sent cannot be said in JSON: {error}.") from None
    request = Request(
        method,
        target,
        content,
        {"Content-Type": "application/json", **(headers or {})},
        repeatable,
    )
    return Operation(request, reader)


def delete(target: str, *, headers: Mapping[str, str] | None = None) -> Operation[None]:
    return Operation(Request("DELETE", target, headers=headers or {}), _nothing)


def one(read: Callable[[Fields], T]) -> Callable[[Response], T]:
    """A reader of an answer that is one JSON object."""
    return lambda response: read(Fields(decode(response.body)))


def _plain(value: object) -> object:
    """What JSON has no word for, as JSON has it."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, datetime):
        return timestamp.render(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot")


def _nothing(_: Response) -> None:
    return None


def _refused(response: Response) -> ClientError:
    """The error of an answer that is no success."""
    if 300 <= response.status < 400:
        return _foreign(response, "it is a redirect, which is never followed with a token")
    try:
        fields = Fields(decode(response.body))
        # A token exchange has a code of RFC 6749 in `error`, and the sentence beside it.
        message = fields.optional_text("error_description") or fields.text("error")
        code = fields.text("code")
        details = fields.raw("details") or {}
        problems = Fields(dict(details)).each("fields", _field_problem)
    except NotAsAgreed as error:
        if response.status in _BY_PROXIES:
            return Unavailable(
                _refusal(
                    response,
                    "",
                    f"The server, or a proxy before it, answered {response.status}. "
                    "Try again later.",
                )
            )
        return _foreign(response, str(error))
    kind = BY_STATUS.get(response.status, ApiError)
    return kind(_refusal(response, code, message, details, problems))


def _refusal(
    response: Response,
    code: str,
    message: str,
    details: Mapping[str, object] | None = None,
    fields: tuple[FieldProblem, ...] = (),
) -> Refusal:
    retry_after = response.headers.get("retry-after", "")
    # RFC 9110 section 10.2.3 allows a date too; Pullpass sends seconds, and a proxy's date is
    # only as good as two clocks.
    seconds = int(retry_after) if retry_after.isdecimal() and len(retry_after) < 9 else None
    request_id = response.headers.get("x-request-id")
    return Refusal(response.status, code, message, details or {}, fields, request_id, seconds)


def _field_problem(fields: Fields) -> FieldProblem:
    return FieldProblem(fields.text("field"), fields.text("problem"), fields.text("expected"))


def _foreign(response: Response, why: str) -> InvalidAnswer:
    return InvalidAnswer(
        f"The answer (status {response.status}) is not one of Pullpass: {why}. "
        "Is the server's URL right?",
        status=response.status,
    )
