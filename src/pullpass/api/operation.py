"""How an operation of the API is described."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.responses import Response

from pullpass.api.call import Call
from pullpass.api.errors import error_response
from pullpass.api.models.common import ErrorInfoResponse
from pullpass.domain.access import Action
from pullpass.domain.errors import PullpassError

Handler = Callable[[Call], Awaitable[Response]]
Refuse = Callable[[PullpassError], Response]


class Entry(StrEnum):
    """Access without an organization: anybody, or anybody with a valid token."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter; ``schema`` is its JSON Schema."""

    name: str
    description: str
    schema: dict[str, object]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``access`` is an Entry, or the Action that a member's role must allow;
    ``refuse`` makes the answer of an error, which is a ``refusal``; ``nothing`` says when it
    answers 204 in place of ``success``.
    """

    id: str
    method: str
    path: str
    access: Entry | Action
    handler: Handler
    tag: str
    summary: str
    success: int = 200
    answer: type | None = None
    body: type | None = None
    body_optional: bool = False
    errors: tuple[int, ...] = ()
    query: tuple[Query, ...] = ()
    conditional: bool = False
    nothing: str = ""
    description: str = ""
    body_type: str = "application/json"
    refuse: Refuse = error_response
    refusal: type = ErrorInfoResponse
