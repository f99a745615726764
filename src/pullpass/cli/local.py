"""What the commands that work on this machine say when they fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from pullpass.cli.exit_codes import ExitCode


class LocalFailure(click.ClickException):
    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = int(code)  # type: ignore[misc]


@contextmanager
def told() -> Iterator[None]:
    """Turn an error of the server's code into one line and its exit code.

    The server is imported here, not with the module: it is an extra.
    """
    from pullpass.domain import errors

    try:
        yield
    except errors.PullpassError as error:
        codes = (
            (errors.Conflict, ExitCode.CONFLICT),
            (errors.NotFound, ExitCode.NOT_FOUND),
            (errors.Unavailable, ExitCode.UNAVAILABLE),
            (errors.InvalidInput, ExitCode.USAGE),
        )
        code = next((code for kind, code in codes if isinstance(error, kind)), ExitCode.FAILED)
        raise LocalFailure(error.message, code) from None
