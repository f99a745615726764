"""``pullpass match`` and ``pullpass creds``: what an image gets."""

from __future__ import annotations

from collections.abc import Iterable

import click

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.output import output_option, print_json, print_table
from pullpass.cli.secrets_input import read_file
from pullpass.cli.session import Session
from pullpass.cli.show import show_credentials
from pullpass.client.models import ImageMatch


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@output_option
@click.pass_context
def match(ctx: click.Context, images: tuple[str, ...], output: str) -> None:
    """Say which record each IMAGE matches, and why. With - as IMAGE, read them from stdin.

    The exit code is 4 if an image matches no record, and 1 if one is malformed.
    """
    session: Session = ctx.obj
    asked = expanded(images)
    with session.client() as client:
        matches = client.registries.match(asked)
    if output == "json":
        print_json(matches)
    else:
        print_table(
            ["IMAGE", "RECORD", "REGISTRY", "TYPE", "WHY"],
            (_row(result) for result in matches.results),
        )
    if matches.malformed:
        ctx.exit(ExitCode.FAILED)
    if matches.unmatched:
        ctx.exit(ExitCode.NOT_FOUND)


@click.command()
@click.argument("image")
@click.option("--cluster", metavar="NAME", help="Only the secret reference for this cluster.")
@output_option
@click.pass_obj
def creds(session: Session, image: str, cluster: str | None, output: str) -> None:
    """Print the credential for IMAGE (exit code 4 if no record matches it)."""
    with session.client() as client:
        show_credentials(client.image_creds(image, cluster=cluster), output)


def expanded(images: Iterable[str]) -> list[str]:
    """The images of a command line, with - replaced by the lines on stdin.

    Raises:
        click.UsageError: there is none, or stdin is no text.
    """
    found = list(_lines(images))
    if not found:
        raise click.UsageError("There is no image on stdin; expected one on each line.")
    return found


def _lines(images: Iterable[str]) -> Iterable[str]:
    for image in images:
        if image != "-":
            yield image
            continue
        try:
            lines = read_file("-").decode().splitlines()
        except UnicodeDecodeError:
            raise click.UsageError("What stands on stdin is not UTF-8 text.") from None
        yield from (line.strip() for line in lines if line.strip())


def _row(result: ImageMatch) -> list[str]:
    why = result.error or result.reason or ""
    if result.match is None:
        return [result.image, "-", "-", "-", why]
    return [result.image, result.match.id, result.match.registry, result.match.type, why]
