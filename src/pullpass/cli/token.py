"""``pullpass token``: the API tokens of a user."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from pullpass.cli.output import moment, note, output_option, print_json, print_table
from pullpass.cli.parameters import Moment
from pullpass.cli.registry import confirm
from pullpass.cli.session import Session

if TYPE_CHECKING:
    from pullpass.client.sync import Client

_user_option = click.option(
    "--user", "user_id", metavar="ID", help="Of this user, instead of the token's own."
)


@click.group()
def token() -> None:
    """List, create and delete API tokens."""


@token.command("list")
@_user_option
@output_option
@click.pass_obj
def list_(session: Session, user_id: str | None, output: str) -> None:
    """List the tokens of a user (never the tokens themselves)."""
    with session.client(needs_organization=False) as client:
        tokens = client.tokens.list(_owner(client, user_id))
    if output == "json":
        print_json(tokens)
    elif tokens:
        print_table(
            ["ID", "DESCRIPTION", "CREATED", "EXPIRES"],
            (
                [t.id, t.description, moment(t.created_at), moment(t.expires_at, absent="never")]
                for t in tokens
            ),
        )
    else:
        note("No tokens. Create one with: pullpass token create ID")


@token.command()
@click.argument("token_id", metavar="ID")
@_user_option
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--expires", type=Moment(), metavar="TIME", help="When it ends, in UTC.")
@output_option
@click.pass_obj
def create(
    session: Session,
    token_id: str,
    user_id: str | None,
    description: str | None,
    expires: datetime | None,
    output: str,
) -> None:
    """Create a token named ID and print it. It cannot be shown again."""
    with session.client(needs_organization=False) as client:
        issued = client.tokens.create(
            _owner(client, user_id), token_id, description=description, expires_at=expires
        )
    if output == "json":
        print_json(issued, reveal=True)
        return
    click.echo(issued.token.reveal())
    note("Keep this token now: it is not shown again.")


@token.command()
@click.argument("token_id", metavar="ID")
@_user_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(session: Session, token_id: str, user_id: str | None, yes: bool) -> None:
    """Delete a token. Whoever uses it is refused within a second."""
    confirm(f"Delete the token {token_id!r}?", yes=yes)
    with session.client(needs_organization=False) as client:
        client.tokens.delete(_owner(client, user_id), token_id)
    note(f"Deleted the token {token_id!r}.")


def _owner(client: Client, user_id: str | None) -> str:
    return client.current_user().id if user_id is None else user_id
