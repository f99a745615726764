"""``pullpass keys``: the master key of a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from pullpass.cli.lazy import WholeLines
from pullpass.cli.local import told
from pullpass.cli.output import note, print_table
from pullpass.cli.serve import storage_options


@click.group(cls=WholeLines)
def keys() -> None:
    """Show and rotate a server's master key.

    These commands work on the key and the database themselves; servers go on meanwhile.
    """


@keys.command()
@storage_options
def status(**options: str | None) -> None:
    """Say where the master key is, list its keys, and what each has wrapped."""
    with told():
        from pullpass.server import rotating, settings

        where, found = asyncio.run(rotating.status(settings.load(options)))
    click.echo(f"The master key is in {where}.")
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
    """Put a new key beside the one in use, without using it yet.

    Needed only where servers have copies of the key file: give them the new one before 'rotate'.
    """
    with told():
        from pullpass.server import rotating, settings

        key = asyncio.run(rotating.add(settings.load(options)))
    click.echo(f"The key {key} waits.")
    note("If servers have copies of the key file, hand it out. Then run: pullpass keys rotate")


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
    note("The old key stays beside it. To remove it: pullpass keys retire")


@keys.command()
@storage_options
def retire(**options: str | None) -> None:
    """Remove the keys that are no longer in use.

    Backups from before the rotation need them: keep an old key file as long as such a backup.
    """
    with told():
        from pullpass.server import rotating, settings

        gone = asyncio.run(rotating.retire(settings.load(options)))
    if gone:
        click.echo("Removed: " + ", ".join(map(str, gone)) + ".")
    else:
        note("There is no old key.")


@keys.command()
@storage_options
def rewrap(**options: str | None) -> None:
    """Have AWS KMS or Vault wrap the master key anew, by the newest version of its key.

    For after that key was rotated there. Nothing else changes, and nothing comes here in clear.
    """
    with told():
        from pullpass.server import rotating, settings

        where = asyncio.run(rotating.rewrap(settings.load(options)))
    click.echo(f"Wrapped anew: the master key in {where}.")


@keys.command()
@click.option("--to", "uri", metavar="URI", help="The remote key that is to wrap it.")
@click.option(
    "--to-file",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file that is to hold it.",
)
@storage_options
def move(uri: str | None, file: Path | None, **options: str | None) -> None:
    """Bring the master key to AWS KMS, to Vault, or into a file.

    It is copied from where this server's settings say that it is. Start every server with the new
    place in its settings; the old place serves until then.
    """
    target = uri or file
    if target is None or (uri and file):
        raise click.UsageError("Give one of --to and --to-file.")
    with told():
        from pullpass.server import rotating, settings

        before, now = asyncio.run(rotating.move(settings.load(options), target))
    setting = f"PULLPASS_MASTER_KEY_URI={uri}" if uri else f"PULLPASS_MASTER_KEY_FILE={file}"
    click.echo(f"The master key is in {now}.")
    note(
        f"It is still in {before} as well. Start every server with {setting} now; then make what "
        "was left there useless: pullpass keys rotate, pullpass keys retire"
    )
