"""``pullpass audit``: who did what, and whether the log is whole."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.lazy import WholeLines
from pullpass.cli.local import told
from pullpass.cli.output import moment, note, output_option, print_table
from pullpass.cli.parameters import Moment
from pullpass.cli.serve import storage_options
from pullpass.cli.session import Session
from pullpass.client.audit import AuditEntry

if TYPE_CHECKING:
    from pullpass.server.settings import Settings

_NOTED = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.group(cls=WholeLines)
def audit() -> None:
    """Read, export and verify the audit log."""


@audit.command("list")
@click.option("--since", type=Moment(), metavar="TIME", help="At this time or after it.")
@click.option("--until", type=Moment(), metavar="TIME", help="Before this time.")
@click.option("--user", metavar="ID", help="What this user did.")
@click.option("--record", metavar="ID", help="What is about this registry record.")
@click.option("--action", metavar="ACTION", help="One action, like credential.read.")
@click.option("--result", type=click.Choice(["ok", "refused"]), help="Done, or refused.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="So many entries at most.",
)
@output_option
@click.pass_obj
def list_(
    session: Session,
    since: datetime | None,
    until: datetime | None,
    user: str | None,
    record: str | None,
    action: str | None,
    result: str | None,
    limit: int,
    output: str,
) -> None:
    """List entries, the newest first."""
    found: list[AuditEntry] = []
    with session.client() as client:
        for entry in client.audit.iterate(
            since=since,
            until=until,
            user_id=user,
            registry_id=record,
            action=action,
            result=result,
            per_page=min(limit, 1000),
        ):
            found.append(entry)
            if len(found) == limit:
                break
    if output == "json":
        click.echo(json.dumps([entry.document for entry in found], indent=2))
    elif found:
        print_table(
            ["TIME", "USER", "TOKEN", "ACTION", "ABOUT", "RESULT", "FROM"],
            (
                [
                    moment(entry.at),
                    entry.user_name,
                    entry.token_id or "-",
                    entry.action,
                    _about(entry),
                    entry.code or entry.result,
                    entry.address or "-",
                ]
                for entry in found
            ),
        )
    else:
        by_id = " --user takes a user's id, as 'pullpass user list' shows it." if user else ""
        note(f"No entries.{by_id}")


@audit.command()
@click.option(
    "--after",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="From the entry behind number N on.",
)
@click.pass_obj
def export(session: Session, after: int) -> None:
    """Print all entries, the oldest first, one JSON object on each line."""
    with session.client() as client:
        for entry in client.audit.export(after=after):
            click.echo(json.dumps(entry.document, separators=(",", ":")))


def _noted(
    _ctx: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, bytes] | None:
    if value is None:
        return None
    found = _NOTED.fullmatch(value)
    if found is None:
        raise click.BadParameter("expected NUMBER:HASH, as an earlier run of this command said.")
    return int(found[1]), bytes.fromhex(found[2])


@audit.command()
@click.option("--org", metavar="ID", help="One organization only.  [default: all]")
@click.option(
    "--noted",
    metavar="NUMBER:HASH",
    callback=_noted,
    help="An entry that was the last one earlier and has to be there still; needs --org.",
)
@storage_options
def verify(org: str | None, noted: tuple[int, bytes] | None, **options: str | None) -> None:
    """Say whether each organization's log is whole: nothing removed, altered or added.

    Works on the database itself, with or without a running server, and needs the master key.
    Ends with 1 where a log is not whole.
    """
    if noted is not None and org is None:
        raise click.UsageError("--noted is about one organization: give --org.")
    with told():
        from pullpass.server import settings

        whole = asyncio.run(_verify(settings.load(options), org, noted))
    if not whole:
        raise click.exceptions.Exit(ExitCode.FAILED)


async def _verify(settings: Settings, org: str | None, noted: tuple[int, bytes] | None) -> bool:
    from pullpass.server.verifying import verify as verified

    whole = True
    async for found in verified(settings, org, noted):
        chain = found.chain
        first = chain.pruned_sequence + 1
        reach = f"{first} to {chain.sequence}" if chain.sequence >= first else "none"
        if not found.problems:
            end = f"{chain.sequence}:{chain.hash.hex()}"
            click.echo(f"{chain.organization}: whole. Entries: {reach}. Note the last one: {end}")
            continue
        whole = False
        click.echo(f"{chain.organization}: NOT WHOLE. Entries: {reach}.")
        for problem in found.problems:
            click.echo(f"  {problem}")
    return whole


def _about(entry: AuditEntry) -> str:
    """The most telling of what an entry is about."""
    asked = entry.image or entry.host
    if asked and entry.registry_id:
        return f"{entry.registry_id} for {asked}"
    return asked or entry.registry_id or entry.subject_id or "-"
