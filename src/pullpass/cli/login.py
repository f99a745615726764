"""``pullpass login`` and ``logout``: the server and the token of this user."""

from __future__ import annotations

import os
import sys

import click

from pullpass.cli.output import note, shown
from pullpass.cli.secrets_input import read_secret
from pullpass.cli.session import DEFAULT_TIMEOUT, Session
from pullpass.client.accounts import Profile
from pullpass.client.secret import Secret
from pullpass.plugins.settings import Config

_EXAMPLES = """\b
Examples:
  pullpass login https://pullpass.example.com
  pullpass login https://pullpass.example.com --org acme < token
"""


@click.command(epilog=_EXAMPLES)
@click.argument("url", metavar="[URL]", required=False)
@click.option("--org", metavar="ID", help="The organization; not needed if the user has one only.")
@click.option("--no-keyring", is_flag=True, help="Keep the token in a file, for you alone.")
@click.pass_obj
def login(session: Session, url: str | None, org: str | None, no_keyring: bool) -> None:
    """Keep a server, an organization and a token for this user.

    The token is asked for, or comes by stdin (or from --token-file before the command). It is tried
    first: if the server refuses it, everything stays as it is. It goes into the keyring (by
    secret-tool) where there is one, else into a file. A second login replaces the first.

    The command line and the credential helper then work without settings in the environment.
    """
    from pullpass.cli.token_store import TokenStore

    store = TokenStore()
    before = store.read() or Config()
    url = (url or session.url or before.url or _asked("Server")).strip().rstrip("/")
    ca_bundle = session.ca_bundle or before.ca_bundle
    token = _token(session)
    profile = _profile(url, token, session.timeout, ca_bundle)
    organization = _organization(profile, org or session.organization)
    in_keyring = store.write(url, organization, token, ca_bundle, keyring=not no_keyring)
    role = profile.roles[f"/orgs/{organization}"]
    click.echo(f"Logged in to {url} as {shown(profile.name)}, {role} of {organization}.")
    where = "the keyring" if in_keyring else str(store.token_file)
    note(f"The token is in {where}, the settings are in {store.path}.")
    for variable in ("PULLPASS_URL", "PULLPASS_ORG", "PULLPASS_TOKEN", "PULLPASS_TOKEN_FILE"):
        if os.environ.get(variable):
            note(f"{variable} in the environment goes before them.")


@click.command()
def logout() -> None:
    """Remove what login keeps: the token, the settings, and answers of the credential helper.

    The token itself stays valid: pullpass token delete ends it.
    """
    from pullpass.cli.token_store import TokenStore
    from pullpass.plugins.cache import clear

    store = TokenStore()
    before = store.remove()
    clear(os.environ)
    if before is None:
        note("Nobody is logged in here.")
        return
    where = f" of {before.url}" if before.url else ""
    click.echo(f"Logged out{where}.")
    if before.token_file and before.token_file != str(store.token_file):
        note(f"{before.token_file} is still there: login did not write it.")


def _token(session: Session) -> Secret:
    piped = session.token_file is None and not sys.stdin.isatty()
    token = read_secret("Token", from_stdin=piped, file=session.token_file)
    return Secret(token.reveal().strip())


def _asked(what: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"Which {what.lower()}? Give its URL: pullpass login URL.")
    return str(click.prompt(what, err=True))


def _profile(url: str, token: Secret, timeout: float | None, ca_bundle: str | None) -> Profile:
    from pullpass.client.sync import Client

    with Client(
        url, None, token, timeout=timeout or DEFAULT_TIMEOUT, ca_bundle=ca_bundle
    ) as client:
        return client.current_user()


def _organization(profile: Profile, asked: str | None) -> str:
    """The organization to work in.

    Raises:
        click.UsageError: the user is in several, and none was named; or not in that one.
    """
    own = [where.removeprefix("/orgs/") for where in profile.roles if where.startswith("/orgs/")]
    if asked is None and len(own) == 1:
        return own[0]
    mine = f"{shown(profile.name)} is in {', '.join(own) or 'none'}"
    if asked is None:
        raise click.UsageError(f"Which organization? Give --org: {mine}.")
    if asked not in own:
        raise click.UsageError(f"The token is of no member of {asked!r}: {mine}.")
    return asked
