"""What the exit code says, and which error has which."""

from __future__ import annotations

from enum import IntEnum

from pullpass.client import errors


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    CONFLICT = 5
    UPSTREAM = 6
    UNAVAILABLE = 7
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANING = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "any other error, such as what the server finds invalid",
    ExitCode.USAGE: "wrong usage, or a setting is missing",
    ExitCode.REFUSED: "not authenticated, or the role is too small",
    ExitCode.NOT_FOUND: "no such thing, or no record matches the image",
    ExitCode.CONFLICT: "it exists already, or has changed since it was read",
    ExitCode.UPSTREAM: "the registry, or the cloud behind it, gave no credential or refused it",
    ExitCode.UNAVAILABLE: "the server cannot be reached, or is not ready",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
    ExitCode.BROKEN_PIPE: "whoever read the output has gone",
}

# The first kind that fits counts.
_BY_ERROR: tuple[tuple[type[errors.ClientError], ExitCode], ...] = (
    (errors.InvalidArgument, ExitCode.USAGE),
    (errors.Unauthenticated, ExitCode.REFUSED),
    (errors.Forbidden, ExitCode.REFUSED),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.Conflict, ExitCode.CONFLICT),
    (errors.PreconditionFailed, ExitCode.CONFLICT),
    (errors.UpstreamFailed, ExitCode.UPSTREAM),
    (errors.Unavailable, ExitCode.UNAVAILABLE),
    (errors.ConnectionFailed, ExitCode.UNAVAILABLE),
    (errors.ClientError, ExitCode.FAILED),
)


def exit_code(error: errors.ClientError) -> ExitCode:
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))
