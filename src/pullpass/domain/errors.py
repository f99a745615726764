"""Every error that Pullpass raises on purpose.

    PullpassError
    ├── InvalidInput                 what was sent cannot be taken
    │   ├── InvalidFields            one problem per field, all at once
    │   ├── InvalidImageReference    not an image reference
    │   ├── InvalidRegistryPrefix    not "{domain}" or "{domain}/{project}"
    │   └── ExchangeRequestRefused   no token for an identity token; the code is RFC 6749's
    ├── Unauthenticated              no token, or one that is not valid
    ├── Forbidden                    the caller's role is too small
    │   └── BuiltinRecord            declared in the server's configuration
    ├── NotFound                     no such thing, or not for this caller to know
    ├── Conflict                     the id or the prefix is taken
    ├── PreconditionFailed           If-Match names an older version
    ├── TooManyAttempts              an address came with too many unknown tokens
    ├── RateLimited                  a token came with too many calls
    ├── ExchangeFailed               the upstream gave no credential
    │   ├── ExchangeRejected         it refuses the stored one: waiting does not help
    │   ├── ExchangeThrottled        it was asked too often
    │   └── ExchangeUnavailable      it does not answer, or not as it should
    └── Unavailable                  the store cannot answer now; try again
        └── StoreUnavailable

Each carries a stable ``code`` (snake case), a ``message`` that a person can act on, and
``details`` for programs. None of them ever holds a secret. What HTTP makes of them is one
table in ``pullpass.api.errors``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class PullpassError(Exception):
    """The root. ``code`` is stable across releases; ``message`` may be reworded."""

    default_code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details: Mapping[str, object] = details or {}


class InvalidInput(PullpassError):
    default_code = "invalid_input"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One invalid field: its dotted path, what is wrong, and what would be right."""

    field: str
    problem: str
    expected: str

    def sentence(self) -> str:
        return f"{self.field} {self.problem}; expected {self.expected}"


# A body of 1 MiB can have so many wrong fields that their list would be twenty times as long.
MOST_PROBLEMS = 100


class InvalidFields(InvalidInput):
    """Some fields of a body or query are invalid; ``problems`` lists all of them, or where there
    are very many the first MOST_PROBLEMS.
    """

    default_code = "invalid_fields"

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        found = tuple(problems)
        self.problems = found[:MOST_PROBLEMS]
        sentences = [problem.sentence() for problem in self.problems]
        if len(found) > MOST_PROBLEMS:
            sentences.append(f"There are {len(found) - MOST_PROBLEMS} more")
        super().__init__(
            ". ".join(sentences) + ".",
            details={
                "fields": [
                    {"field": p.field, "problem": p.problem, "expected": p.expected}
                    for p in self.problems
                ]
            },
        )


class InvalidImageReference(InvalidInput):
    default_code = "invalid_image_reference"


class InvalidRegistryPrefix(InvalidInput):
    """``expected`` says what would be right, so that a field problem can be made of it."""

    default_code = "invalid_registry"

    def __init__(self, problem: str, expected: str) -> None:
        super().__init__(f"The registry {problem}; expected {expected}.")
        self.problem = problem
        self.expected = expected


class ExchangeRequestRefused(InvalidInput):
    """RFC 8693 section 2.2.2 with RFC 6749 section 5.2: what ``code`` may be stands there."""

    default_code = "invalid_request"


class Unauthenticated(PullpassError):
    default_code = "unauthenticated"


class Forbidden(PullpassError):
    default_code = "forbidden"


class BuiltinRecord(Forbidden):
    default_code = "builtin_record"


class NotFound(PullpassError):
    default_code = "not_found"


class Conflict(PullpassError):
    default_code = "conflict"


class PreconditionFailed(PullpassError):
    default_code = "precondition_failed"


class TooManyAttempts(PullpassError):
    """``retry_after`` is in seconds."""

    default_code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(PullpassError):
    """``retry_after`` is in seconds."""

    default_code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExchangeFailed(PullpassError):
    """``retry_after``: in how many seconds another try may help; None: not by waiting."""

    default_code = "exchange_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.retry_after = retry_after


class ExchangeRejected(ExchangeFailed):
    default_code = "upstream_rejected"


class ExchangeThrottled(ExchangeFailed):
    default_code = "upstream_throttled"


class ExchangeUnavailable(ExchangeFailed):
    default_code = "upstream_unavailable"


class Unavailable(PullpassError):
    """Not now: ``retry_after`` is in seconds."""

    default_code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class StoreUnavailable(Unavailable):
    default_code = "store_unavailable"
