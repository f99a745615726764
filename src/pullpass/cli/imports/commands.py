"""``pullpass import``: what a config file or a cluster holds, and the records made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import click

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.imports.kubernetes import ClusterFailed, pull_secrets
from pullpass.cli.lazy import WholeLines
from pullpass.cli.output import note, output_option, print_json, print_table
from pullpass.cli.secrets_input import read_file
from pullpass.cli.session import Session
from pullpass.client.errors import ApiError, Conflict, Forbidden
from pullpass.client.models import CredsFields, Registry
from pullpass.client.secret import Secret
from pullpass.client.sync import Client
from pullpass.formats.imports.plan import Outcome, Row, make_plan
from pullpass.formats.imports.reading import Found, NotADockerConfig, Skipped, read_docker_config

_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only show what would be created, and what would not."
)
_enable_ci_option = click.option(
    "--enable-ci", is_flag=True, help="Let CI read the credentials of the new records."
)


@click.group("import", cls=WholeLines)
def import_() -> None:
    """Make records of the credentials in a Docker config, or in a Kubernetes cluster.

    Nothing that exists is changed, and no credential is shown. Run it again, and it says that all
    is there. The exit code is 5 if there are conflicts, and 1 if the server refuses a record.
    """


@import_.command("docker-config")
@click.argument("file", metavar="FILE")
@_dry_run_option
@_enable_ci_option
@output_option
@click.pass_context
def docker_config(
    ctx: click.Context, file: str, dry_run: bool, enable_ci: bool, output: str
) -> None:
    """Import ~/.docker/config.json, auth.json or .dockercfg (- reads it from stdin)."""
    content = read_file(file)
    source = "stdin" if file == "-" else file
    try:
        entries = read_docker_config(content, source, datetime.now(UTC))
    except NotADockerConfig as error:
        where = "What stands on stdin" if file == "-" else repr(file)
        raise click.ClickException(f"{where} is no Docker config: {error}.") from None
    _import(ctx, entries, dry_run=dry_run, enable_ci=enable_ci, output=output)


@import_.command("kubernetes")
@click.option(
    "--kubeconfig", metavar="FILE", help="Instead of what KUBECONFIG names, or ~/.kube/config."
)
@click.option("--context", metavar="NAME", help="Instead of the current one.")
@click.option("--namespace", "-n", metavar="NAME", help="Instead of the context's own.")
@click.option("--all-namespaces", "-A", is_flag=True, help="The secrets of all namespaces.")
@_dry_run_option
@_enable_ci_option
@output_option
@click.pass_context
def kubernetes(
    ctx: click.Context,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    all_namespaces: bool,
    dry_run: bool,
    enable_ci: bool,
    output: str,
) -> None:
    """Import the pull secrets of a cluster (types dockerconfigjson and dockercfg).

    It needs the right to list secrets, and changes nothing in the cluster.
    """
    if all_namespaces and namespace is not None:
        raise click.UsageError("Give --namespace or --all-namespaces, not both.")
    try:
        secrets = pull_secrets(kubeconfig, context, namespace, everywhere=all_namespaces)
    except ClusterFailed as error:
        raise click.ClickException(str(error)) from None
    entries: list[Found | Skipped] = []
    for secret in secrets:
        try:
            entries += read_docker_config(secret.content, secret.source, datetime.now(UTC))
        except NotADockerConfig as error:
            entries.append(Skipped("-", secret.source, str(error)))
    _import(ctx, entries, dry_run=dry_run, enable_ci=enable_ci, output=output)


def _import(
    ctx: click.Context,
    entries: list[Found | Skipped],
    *,
    dry_run: bool,
    enable_ci: bool,
    output: str,
) -> None:
    session: Session = ctx.obj
    with session.client() as client:
        rows = make_plan(entries, client.registries.list(), _compare(client))
        if not dry_run:
            rows = list(_create(client, rows, enable_ci, tell=output == "table"))
        elif output == "table" and rows:
            _print(rows)
    if output == "json":
        print_json([_public(row) for row in rows])
    elif not rows:
        note("There are no credentials.")
    outcomes = {row.outcome for row in rows}
    if Outcome.CONFLICT in outcomes:
        ctx.exit(ExitCode.CONFLICT)
    if Outcome.FAILED in outcomes:
        ctx.exit(ExitCode.FAILED)


def _create(client: Client, rows: list[Row], enable_ci: bool, *, tell: bool) -> Iterator[Row]:
    """The rows with what came of them; each is told as soon as it is known."""
    for row in rows:
        if row.found is not None:
            row = _created(client, row, row.found, enable_ci)
        if tell:
            click.echo(_line(row))
        yield row


def _created(client: Client, row: Row, found: Found, enable_ci: bool) -> Row:
    creds: CredsFields = {"username": found.username, "password": Secret(found.password.reveal())}
    if found.expires is not None:
        creds["expires"] = found.expires
    try:
        client.registries.create(
            {
                "id": row.id or "",
                "registry": found.registry,
                "type": found.type,
                "creds": creds,
                "enable_ci": enable_ci,
            }
        )
    except Conflict as error:
        return row.now(Outcome.CONFLICT, error.message)
    except ApiError as error:
        if error.status != 400:
            raise
        return row.now(Outcome.FAILED, error.message)
    return row.now(Outcome.CREATED)


def _compare(client: Client) -> Callable[[Registry, Found], bool | None]:
    may_read = True

    def compare(record: Registry, found: Found) -> bool | None:
        nonlocal may_read
        # An exchanged credential comes back as another one.
        if record.type != "basic" or not may_read:
            return None
        try:
            stored = client.registries.creds(record.id)
        except Forbidden:
            may_read = False
            return None
        return (stored.username, stored.password) == (
            found.username,
            Secret(found.password.reveal()),
        )

    return compare


def _print(rows: list[Row]) -> None:
    print_table(
        ["RESULT", "ID", "REGISTRY", "TYPE", "FROM", "WHY"],
        (
            [row.outcome, row.id or "-", row.registry, row.type or "-", row.source, row.why or ""]
            for row in rows
        ),
    )


def _line(row: Row) -> str:
    subject = f"{row.registry} as {row.id}" if row.id else row.registry
    return f"{row.outcome}: {subject}" + (f" ({row.why})" if row.why else "")


def _public(row: Row) -> dict[str, str | None]:
    fields = ("outcome", "id", "registry", "type", "source", "why")
    return {name: getattr(row, name) for name in fields if getattr(row, name) is not None}
