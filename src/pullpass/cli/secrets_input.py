"""How a secret comes in: by stdin, by a file or by a hidden prompt; never as an argument.

(Arguments stand in the list of processes and in the history of the shell.)
"""

from __future__ import annotations

import sys

import click

from pullpass.client.secret import Secret


def read_secret(label: str, *, from_stdin: bool, file: str | None) -> Secret:
    """The secret, without the one newline that editors and ``echo`` put at its end.

    With neither a file nor ``from_stdin``, and with ``from_stdin`` on a terminal, a person is
    asked without echo.

    Raises:
        click.UsageError: nobody can be asked, the file cannot be read, or it holds no text.
    """
    option = label.lower()
    if from_stdin and file is not None:
        raise click.UsageError(f"Give --{option}-stdin or --{option}-file, not both.")
    if file is not None:
        return _secret(read_file(file), f"The {option} file {file!r}")
    if sys.stdin.isatty():
        return Secret(click.prompt(label, hide_input=True, err=True))
    if from_stdin:
        return _secret(read_file("-"), f"The {option} on stdin")
    raise click.UsageError(f"Give the {option} with --{option}-stdin or --{option}-file FILE.")


def read_file(file: str) -> bytes:
    """The bytes of a file, or of stdin where it is named `-`.

    Raises:
        click.UsageError: it cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise click.UsageError(f"{file!r}: {error.strerror}.") from None


def _secret(content: bytes, where: str) -> Secret:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"{where} is not UTF-8 text.") from None
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise click.UsageError(f"{where} is empty.")
    return Secret(text)
