"""`pullpass init`: the first organization and its first token, straight into the database."""

from __future__ import annotations

import asyncio
import json

import click

from pullpass.cli.local import told
from pullpass.cli.serve import storage_options


@click.command()
@click.option("--org", required=True, metavar="ID", help="The organization's id, like 'acme'.")
@click.option("--name", metavar="TEXT", help="Its name for people.  [default: the id]")
@click.option(
    "--new-token",
    is_flag=True,
    help="Make another token for an administrator of an organization that is there already.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text")
@storage_options
def init(org: str, name: str | None, new_token: bool, output: str, **options: str | None) -> None:
    """Create an organization, its administrator and a first token.

    Works on the database itself, with or without a running server; creates the database and
    the master key where there are none. The token is printed once and cannot be shown again.
    """
    with told():
        from pullpass.server import founding, settings

        chosen = settings.load(options)
        founded = asyncio.run(
            founding.recover(chosen, org) if new_token else founding.found(chosen, org, name or org)
        )
    token = founded.token.reveal()
    if output == "json":
        click.echo(json.dumps({"organization": org, "user_id": founded.user_id, "token": token}))
        return
    click.echo(f"Organization   {org}")
    click.echo(f"Administrator  {founded.user_id}")
    click.echo(f"Token          {token}")
    click.echo("\nThe token is shown this once. Keep it, and use it:\n")
    click.echo(f"  export PULLPASS_ORG={org}\n  export PULLPASS_TOKEN={token}")
