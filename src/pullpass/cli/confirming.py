"""What is asked before something is deleted."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Go on if ``yes``, or if a person says so.

    Raises:
        click.UsageError: there is nobody to ask.
        click.ClickException: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Give --yes to delete without being asked.")
    if not click.confirm(question, err=True):
        raise click.ClickException("Nothing was deleted.")
