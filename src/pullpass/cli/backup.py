"""``pullpass backup`` and ``pullpass restore``: the whole database as one file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from pullpass.cli.local import told
from pullpass.cli.output import note
from pullpass.cli.serve import storage_options

_KEY = (
    "The master key is not in it. Without the key, no credential in a backup can be opened: keep "
    "it too, and elsewhere."
)
_WRAPPED_KEY = (
    "The master key in it is wrapped by {uri}: without that, no credential in a backup can be "
    "opened."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@storage_options
def backup(file: Path, **options: str | None) -> None:
    """Copy the database into FILE, which must not be there yet.

    The server may go on: the copy is of one moment. What is in it stays sealed. It can be restored
    into SQLite or PostgreSQL, wherever it is from.
    """
    with told():
        from pullpass.server import backups, settings

        loaded = settings.load(options)
        size = asyncio.run(backups.save(loaded, file))
    click.echo(f"Wrote {file} ({size} bytes).")
    uri = loaded.master_key_uri
    note(_WRAPPED_KEY.format(uri=uri) if uri else _KEY)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@storage_options
def restore(file: Path, **options: str | None) -> None:
    """Fill a database that has no tables yet from the backup FILE.

    Everything is restored or nothing. Start no server on the database before.
    """
    with told():
        from pullpass.server import backups, settings

        loaded = settings.load(options)
        restored = asyncio.run(backups.restore(loaded, file))
    rows = restored.rows
    click.echo(
        f"Restored {rows['organizations']} organizations, {rows['records']} registry records, "
        f"{rows['users']} users, {rows.get('audit_entries', 0)} audit entries."
    )
    if restored.opens:
        click.echo("The master key that is here opens it.")
    else:
        note(
            "There is no master key here: put the one that it was sealed with into "
            f"{loaded.master_key_file}."
        )
