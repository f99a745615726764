"""``pullpass token``: the API tokens of a user."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pullpass.cli.confirming import confirm, yes_option
from pullpass.cli.lazy import WholeLines
from pullpass.cli.output import (
    ending,
    moment,
    note,
    output_option,
    print_json,
    print_list,
)
from pullpass.cli.parameters import Moment
from pullpass.cli.secrets_input import read_secret
from pullpass.cli.session import Session

if TYPE_CHECKING:
    from pullpass.client.sync import Client

_user_option = click.option(
    "--user", "user_id", metavar="ID", help="Of this user, instead of the token's own."
)


@click.group(cls=WholeLines)
def token() -> None:
    """List, create and delete API tokens, and get one for an identity token."""


@token.command("list")
@_user_option
@output_option
@click.pass_obj
def list_(session: Session, user_id: str | None, output: str) -> None:
    """List the tokens of a user (never the tokens themselves)."""
    with session.client(needs_organization=False) as client:
        tokens = client.tokens.list(_owner(client, user_id))
    print_list(
        output,
        tokens,
        ["ID", "DESCRIPTION", "CREATED", "EXPIRES"],
        lambda t: [t.id, t.description, moment(t.created_at), ending(t.expires_at, absent="never")],
        empty="No tokens. Create one with: pullpass token create ID",
    )


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
@yes_option
@click.pass_obj
def delete(session: Session, token_id: str, user_id: str | None, yes: bool) -> None:
    """Delete a token. Whoever uses it is refused within a second."""
    confirm(f"Delete the token {token_id!r}?", yes=yes)
    with session.client(needs_organization=False) as client:
        client.tokens.delete(_owner(client, user_id), token_id)
    note(f"Deleted the token {token_id!r}.")


@token.command()
@click.option("--token-stdin", is_flag=True, help="Read the identity token from stdin.")
@click.option("--token-file", metavar="FILE", help="Read it from a file.")
@click.option("--github", is_flag=True, help="Ask GitHub for it, in a job of GitHub Actions.")
@click.option("--audience", metavar="TEXT", help="With --github: for whom (pullpass:ORG).")
@click.option("--rule", metavar="ID", help="The trust rule to use, instead of the first that fits.")
@output_option
@click.pass_obj
def exchange(
    session: Session,
    token_stdin: bool,
    token_file: str | None,
    github: bool,
    audience: str | None,
    rule: str | None,
    output: str,
) -> None:
    """Print a short-lived token for the identity token of a job (or a pod, or a person).

    It needs no other token: the organization's trust rules say whose identity tokens are taken.
    """
    if github and (token_stdin or token_file):
        raise click.UsageError("Give --github, --token-stdin or --token-file, one of them.")
    if audience is not None and not github:
        raise click.UsageError("--audience is for --github: another token has its own already.")
    if not github:
        identity = read_secret("Token", from_stdin=token_stdin, file=token_file)
    with session.client(needs_token=False) as client:
        if github:
            from pullpass.client.github import identity_token

            wanted = audience or f"pullpass:{session.own_organization}"
            identity = identity_token(os.environ, wanted, session.seconds)
        exchanged = client.exchange_token(identity, rule=rule)
    if output == "json":
        print_json(exchanged, reveal=True)
        return
    click.echo(exchanged.access_token.reveal())
    note(f"By the trust rule {exchanged.scope!r}, for {exchanged.expires_in} s.")


def _owner(client: Client, user_id: str | None) -> str:
    return client.current_user().id if user_id is None else user_id
