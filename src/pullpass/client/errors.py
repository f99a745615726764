"""Every error that the client raises on purpose.

    ClientError
    ├── InvalidArgument          what was asked cannot be sent
    ├── ConnectionFailed         no answer: refused, no such name, TLS, timeout
    ├── InvalidAnswer            an answer, but not one of Pullpass: a wrong URL, a proxy's page
    └── ApiError                 Pullpass (or a proxy on the way) refused
        ├── BadRequest           400
        ├── Unauthenticated      401
        ├── Forbidden            403
        ├── NotFound             404
        ├── Conflict             409
        ├── PreconditionFailed   412
        ├── TooLarge             413
        ├── UpstreamFailed       502: the registry or the cloud behind it gave no credential
        └── Unavailable          429, 503, 504, and a 502 that is a proxy's: try again

No message holds a token or a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class ClientError(Exception):
    """The root. ``message`` is one sentence or more that a person can act on."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(ClientError, ValueError):
    pass


class ConnectionFailed(ClientError):
    """``timed_out`` tells a server that did not answer in time from one that is not there.

    ``unsent``: there was no connection, so the server has seen nothing of the request.
    """

    def __init__(self, message: str, *, timed_out: bool = False, unsent: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.unsent = unsent


class InvalidAnswer(ClientError):
    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One invalid field: its dotted path, what is wrong, and what would be right."""

    field: str
    problem: str
    expected: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error answer says. ``retry_after`` is in seconds; ``code`` may be empty."""

    status: int
    code: str
    message: str
    details: Mapping[str, object] = field(default_factory=dict)
    fields: tuple[FieldProblem, ...] = ()
    request_id: str | None = None
    retry_after: int | None = None


class ApiError(ClientError):
    """An answer with a status that is no success. ``code`` is stable, ``message`` is not."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal

    @property
    def status(self) -> int:
        return self.refusal.status

    @property
    def code(self) -> str:
        return self.refusal.code

    @property
    def details(self) -> Mapping[str, object]:
        return self.refusal.details

    @property
    def fields(self) -> tuple[FieldProblem, ...]:
        return self.refusal.fields

    @property
    def request_id(self) -> str | None:
        return self.refusal.request_id

    @property
    def retry_after(self) -> int | None:
        return self.refusal.retry_after


class BadRequest(ApiError):
    pass


class Unauthenticated(ApiError):
    pass


class Forbidden(ApiError):
    pass


class NotFound(ApiError):
    pass


class Conflict(ApiError):
    pass


class PreconditionFailed(ApiError):
    pass


class TooLarge(ApiError):
    pass


class UpstreamFailed(ApiError):
    pass


class Unavailable(ApiError):
    pass


BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: TooLarge,
    429: Unavailable,
    502: UpstreamFailed,
    503: Unavailable,
    504: Unavailable,
}
