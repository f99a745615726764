"""docs/cli.md says what the command line does, and all that it does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pullpass.cli.exit_codes import MEANING
from pullpass.cli.main import root

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


def command_lines(script: str) -> list[str]:
    """The calls of ``pullpass`` in a shell script."""
    script = script.replace("\\\n", "")
    # Up to where the shell goes on: a redirection, a pipe, the end of a substitution.
    return re.findall(r"(?<![\w./-])pullpass [^|<>)\n]+", script)


LINES = command_lines(BLOCKS)


def resolved(words: list[str]) -> tuple[click.Command, str, list[str]]:
    """The command that the words name, its path, and the words after it."""
    command: click.Command = root
    path = []
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no command {name}"
        command = found
        path.append(name)
    return command, " ".join(path), words


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name))


@pytest.mark.parametrize("line", LINES)
def test_a_documented_command_line_is_taken(line: str) -> None:
    command, path, words = resolved(shlex.split(line)[1:])
    assert command.make_context(path, words).command is command


def test_every_command_is_documented() -> None:
    documented = {resolved(shlex.split(line)[1:])[1] for line in LINES}
    assert documented == set(leaves(root))


def test_every_global_option_and_its_variable_is_documented() -> None:
    for parameter in root.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("help", "version"):
            assert f"`{parameter.opts[0]}`" in PAGE
            assert parameter.envvar is None or f"`{parameter.envvar}`" in PAGE


def test_the_exit_codes_are_documented() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows == {str(code.value): meaning for code, meaning in MEANING.items()}
