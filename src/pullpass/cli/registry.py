"""``pullpass registry``: the records of an organization."""

from __future__ import annotations

from typing import Any

import click

from pullpass.cli.checks import check
from pullpass.cli.confirming import confirm, yes_option
from pullpass.cli.lazy import WholeLines
from pullpass.cli.output import (
    is_over,
    moment,
    note,
    output_option,
    print_details,
    print_json,
    print_list,
    yes_no,
)
from pullpass.cli.record_options import RecordOptions, record_options
from pullpass.cli.session import Session
from pullpass.cli.show import show_credentials
from pullpass.client.models import Registry, Status

_id_argument = click.argument("registry_id", metavar="ID")
_if_match_option = click.option(
    "--if-match", metavar="ETAG", help="Only if the record is still at this version."
)


_CREATE_EXAMPLE = """\b
pullpass registry create ghcr --registry ghcr.io/acme --type basic \\
  --username robot --password-stdin < password
"""


@click.group(cls=WholeLines)
def registry() -> None:
    """List, write and check registry records."""


@registry.command("list")
@output_option
@click.pass_obj
def list_(session: Session, output: str) -> None:
    """List the records of the organization."""
    with session.client() as client:
        records = client.registries.list()
    print_list(
        output,
        records,
        ["ID", "REGISTRY", "TYPE", "CI", "CREATED", "LAST CHECK"],
        lambda record: [
            *(record.id, record.registry, record.type, yes_no(record.enable_ci)),
            *(moment(record.created_at), _last_check(record.status)),
        ],
        empty="No registry records yet. Add one, for example: pullpass registry create ghcr "
        "--registry ghcr.io --type basic --username USER --password-stdin",
    )


@registry.command()
@_id_argument
@output_option
@click.pass_obj
def get(session: Session, registry_id: str, output: str) -> None:
    """Show a record. (The JSON can be edited and given to update --file.)"""
    with session.client() as client:
        _show(client.registries.get(registry_id), output)


@registry.command(epilog=_CREATE_EXAMPLE)
@click.argument("registry_id", metavar="[ID]", required=False)
@record_options
@output_option
@click.pass_obj
def create(session: Session, /, registry_id: str | None, output: str, **options: Any) -> None:
    """Add a record under ID (with --file, ID may stand in the file)."""
    parsed = RecordOptions(**options)
    if parsed.file is None:
        for value, name in (
            (registry_id, "ID"),
            (parsed.registry, "--registry"),
            (parsed.type, "--type"),
        ):
            if value is None:
                raise click.UsageError(f"{name} is missing.")
    fields, _ = parsed.fields()
    if registry_id is not None:
        if fields.get("id", registry_id) != registry_id:
            raise click.UsageError("ID is not the id in the file.")
        fields["id"] = registry_id
    with session.client() as client, parsed.named():
        record = client.registries.create(fields)
    _show(record, output)
    _tell_of_its_end(parsed)


@registry.command()
@_id_argument
@record_options
@click.option("--clear-creds", is_flag=True, help="Remove the credential.")
@click.option("--clear-secrets", is_flag=True, help="Remove the references to secrets.")
@_if_match_option
@output_option
@click.pass_obj
def update(
    session: Session, /, registry_id: str, if_match: str | None, output: str, **options: Any
) -> None:
    """Change what is given of a record; the rest stays.

    A new password needs --username too, since a credential is replaced as a whole. A --file
    that holds an "etag" (as written by get -o json) is refused if the record has changed since.
    """
    parsed = RecordOptions(**options)
    fields, etag = parsed.fields()
    if not fields:
        raise click.UsageError("Nothing to change: give an option, or --file.")
    with session.client() as client, parsed.named(stored=True):
        record = client.registries.update(
            registry_id, fields, if_match=_quoted(if_match) if if_match else etag
        )
    _show(record, output)
    _tell_of_its_end(parsed)


@registry.command()
@_id_argument
@_if_match_option
@yes_option
@click.pass_obj
def delete(session: Session, registry_id: str, if_match: str | None, yes: bool) -> None:
    """Remove a record and its credential. This cannot be undone."""
    confirm(f"Delete the registry record {registry_id!r} and its credential?", yes=yes)
    with session.client() as client:
        client.registries.delete(registry_id, if_match=_quoted(if_match) if if_match else None)
    note(f"Deleted the registry record {registry_id!r}.")


@registry.command()
@_id_argument
@click.option("--cluster", metavar="NAME", help="Only the secret reference for this cluster.")
@output_option
@click.pass_obj
def creds(session: Session, registry_id: str, cluster: str | None, output: str) -> None:
    """Print the credential of a record."""
    with session.client() as client:
        show_credentials(client.registries.creds(registry_id, cluster=cluster), output)


registry.add_command(check)


def _show(record: Registry, output: str) -> None:
    if output == "json":
        print_json(record)
        return
    print_details(
        {
            "ID": record.id,
            "Registry": record.registry,
            "Type": record.type,
            "CI": yes_no(record.enable_ci),
            "Created": f"{moment(record.created_at)} by {record.created_by}"
            if record.created_by
            else None,
            "Last check": _last_check(record.status) if record.status else None,
            "ETag": record.etag,
        }
        | {
            f"Secret {cluster}": f"{reference.namespace}/{reference.secret}"
            for cluster, reference in (record.secrets or {}).items()
        }
        | {f"Option {name}": str(value) for name, value in (record.options or {}).items()}
    )


def _tell_of_its_end(options: RecordOptions) -> None:
    if is_over(options.expires):
        note(f"It ended at {moment(options.expires)} already, and is handed out all the same.")


def _last_check(status: Status | None) -> str:
    if status is None:
        return "-"
    if status.ok or status.since == status.checked_at:
        return f"{status.code}, {moment(status.checked_at)}"
    return f"{status.code}, {moment(status.checked_at)} (failing since {moment(status.since)})"


def _quoted(etag: str) -> str:
    """An ETag with the quotes that a shell takes away."""
    return etag if etag == "*" or etag.endswith('"') else f'"{etag}"'
