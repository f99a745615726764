"""Groups of commands: one whose commands are imported when they run, not when they are listed.

After "Lazily Loading Subcommands" in the documentation of click
(https://click.palletsprojects.com/en/stable/complex/). Names and help lines stand in a table,
so that ``--help`` and shell completion import no command either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

_NO_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command stands ("module:attribute"), and the line that the list shows for it."""

    target: str
    help: str


class WholeLines(click.Group):
    """A group whose ``--help`` cuts off no line of its list of commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [
            (name, command.get_short_help_str(limit=_NO_LIMIT))
            for name, command in sorted(self.commands.items())
        ]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


class LazyGroup(click.Group):
    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (message := missing_extra(error)) is None:
                raise
            return _unavailable(cmd_name, entry.help, message)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.target} is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.entries and not name.startswith("-"):
            # Here, since it is needed by mistakes alone.
            from difflib import get_close_matches

            known = ", ".join(self.entries)
            near = get_close_matches(name, self.entries)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command {name!r}.{meant} Commands: {known}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        commands: list[CompletionItem[Any]] = [
            CompletionItem(name, help=entry.help)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        # Past click's Group, which would import every command.
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The sentence for a package of an extra that is not installed; None for our own."""
    package = (error.name or "pullpass").partition(".")[0]
    if package == "pullpass":
        return None
    extra = "kubernetes" if package in _OF_KUBERNETES else "server"
    return f"This command needs pip install 'pullpass[{extra}]' ({package!r} is missing)."


def _unavailable(name: str, line: str, message: str) -> click.Command:
    @click.command(name, help=line, add_help_option=False, context_settings=_ANY_ARGUMENTS)
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def command(rest: tuple[str, ...]) -> None:
        raise click.ClickException(message)

    return command


# What comes with the extra `kubernetes`, and is not in `server` too.
_OF_KUBERNETES = ("lightkube", "httpx2", "yaml")
_ANY_ARGUMENTS: dict[str, Any] = {"ignore_unknown_options": True, "allow_extra_args": True}
