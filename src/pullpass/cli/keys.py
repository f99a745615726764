"""``pullpass keys``: the master key of a server."""

from __future__ import annotations

import asyncio

import click

from pullpass.cli.local import told
from pullpass.cli.output import note, print_table
from pullpass.cli.serve import storage_options


@click.group()
def keys() -> None:
    """Show and rotate a server's master key.

    These commands work on the key file and the database themselves; servers go on meanwhile.
    """


@keys.command()
@storage_options
def status(**options: str | None) -> None:
    """List the keys in the key file, and what each has wrapped."""
    with told():
        from pullpass.server import rotating, settings

        found = asyncio.run(rotating.status(settings.load(options)))
    newest = found[-1]
    waits = not newest.primary
    print_table(
        ["KEY", "STATE", "WRAPPED"],
        (
            [
                str(each.id),
                "in use" if each.primary else "waits" if waits and each is newest else "old",
                str(each.wrapped),
            ]
            for each in found
        ),
    )


@keys.command()
@storage_options
def add(**options: str | None) -> None:
    """Put a new key into the key file, without using it yet.

    Needed only where servers have copies of the file: give them the new one before 'rotate'.
    """
    with told():
        from pullpass.server import rotating, settings

        key = asyncio.run(rotating.add(settings.load(options)))
    click.echo(f"The key {key} waits in the key file.")
    note("Give the file to every server, then run: pullpass keys rotate")


@keys.command()
@storage_options
def rotate(**options: str | None) -> None:
    """Use a new key from now on, and wrap with it what the old one had wrapped.

    Can be interrupted, and then repeated.
    """
    with told():
        from pullpass.server import rotating, settings

        key, count = asyncio.run(rotating.rotate(settings.load(options)))
    click.echo(f"The key {key} is in use. Wrapped anew: {count}.")
    note("The old key stays in the file. To remove it: pullpass keys retire")


@keys.command()
@storage_options
def retire(**options: str | None) -> None:
    """Remove the keys that are no longer in use from the key file.

    Backups from before the rotation need them: keep an old key file as long as such a backup.
    """
    with told():
        from pullpass.server import rotating, settings

        gone = asyncio.run(rotating.retire(settings.load(options)))
    if gone:
        click.echo("Removed: " + ", ".join(map(str, gone)) + ".")
    else:
        note("There is no old key in the file.")
