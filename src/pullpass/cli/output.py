"""What goes to stdout: columns for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TypeVar

import click

from pullpass.client import timestamp
from pullpass.client.secret import Secret

_Item = TypeVar("_Item")

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Columns for people, or JSON for programs.",
)


def print_json(value: object, *, reveal: bool = False) -> None:
    """``value`` (our models) with the names it has on the wire; what is None is left out.

    Secrets are printed where ``reveal`` says so, and refused otherwise.
    """
    click.echo(json.dumps(_plain(value, reveal), indent=2))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one is not padded."""
    table = [list(headers), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headers))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def print_list(
    output: str,
    items: Sequence[_Item],
    headers: Sequence[str],
    row: Callable[[_Item], Sequence[str]],
    *,
    empty: str,
) -> None:
    """``items`` as ``--output`` asks: JSON, or a table with a ``row`` for each. Where there are
    none a person gets the hint ``empty`` instead of a table.
    """
    if output == "json":
        print_json(items)
    elif items:
        print_table(headers, map(row, items))
    else:
        note(empty)


def print_details(details: Mapping[str, str | None]) -> None:
    """One "name  value" per line; what is None is left out."""
    given = {name: value for name, value in details.items() if value is not None}
    width = max(len(name) for name in given)
    for name, value in given.items():
        click.echo(f"{name.ljust(width)}  {shown(value)}".rstrip())


def note(text: str) -> None:
    """A hint for a person: on stderr, so that stdout holds nothing but the answer."""
    click.echo(text, err=True)


def shown(text: str) -> str:
    """``text`` with what could drive a terminal (control characters) written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def yes_no(truth: bool) -> str:
    return "yes" if truth else "no"


def moment(time: datetime | None, *, absent: str = "-") -> str:
    """A time to the second, in UTC."""
    if time is None:
        return absent
    return timestamp.render(time)[:19].replace("T", " ") + " UTC"


def is_over(time: datetime | None) -> bool:
    """Whether what ends then has ended; None: it has no end."""
    return time is not None and time <= datetime.now(UTC)


def ending(time: datetime | None, *, absent: str) -> str:
    """When something ends, and whether it has."""
    return moment(time, absent=absent) + (" (over)" if is_over(time) else "")


def _plain(value: object, reveal: bool) -> object:
    if isinstance(value, Secret):
        if not reveal:
            raise TypeError("a secret was about to be printed")
        return value.reveal()
    if isinstance(value, datetime):
        return timestamp.render(value)
    if is_dataclass(value) and not isinstance(value, type):
        pairs = {field.name: getattr(value, field.name) for field in fields(value)}
        return _plain({name: item for name, item in pairs.items() if item is not None}, reveal)
    if isinstance(value, Mapping):
        return {key: _plain(item, reveal) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, reveal) for item in value]
    return value
