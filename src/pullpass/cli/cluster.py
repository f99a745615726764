"""``pullpass cluster``: the clusters that agents look after."""

from __future__ import annotations

import click

from pullpass.cli.confirming import confirm, yes_option
from pullpass.cli.lazy import WholeLines
from pullpass.cli.output import (
    moment,
    note,
    output_option,
    print_details,
    print_json,
    print_list,
    print_table,
    yes_no,
)
from pullpass.cli.session import Session
from pullpass.client.clusters import Cluster

_cluster_argument = click.argument("name", metavar="CLUSTER")


@click.group(cls=WholeLines)
def cluster() -> None:
    """Show the clusters that agents look after, and what is pending or failed there."""


@cluster.command("list")
@output_option
@click.pass_obj
def list_(session: Session, output: str) -> None:
    """List the clusters whose agents have reported."""
    with session.client() as client:
        clusters = client.clusters.list()
    print_list(
        output,
        clusters,
        [
            *("CLUSTER", "CONNECTED", "MODE", "NAMESPACES"),
            *("SECRETS", "PENDING", "FAILED", "REPORTED", "VERSION"),
        ],
        lambda c: [
            *(c.id, yes_no(c.connected), c.mode, str(c.namespaces)),
            *(str(c.secrets), str(c.pending), str(c.failed)),
            *(moment(c.reported_at), c.version),
        ],
        empty="No cluster has reported. docs/kubernetes.md says how to install the agent.",
    )


@cluster.command()
@_cluster_argument
@output_option
@click.pass_obj
def status(session: Session, name: str, output: str) -> None:
    """Show a cluster: what its agent did for each record, what is pending, what failed and why."""
    with session.client() as client:
        found = client.clusters.get(name)
    if output == "json":
        print_json(found)
        return
    _show(found)


@cluster.command()
@_cluster_argument
@yes_option
@click.pass_obj
def forget(session: Session, name: str, yes: bool) -> None:
    """Forget a cluster that is no more. One whose agent runs is back with its next report."""
    confirm(f"Forget the cluster {name!r}?", yes=yes)
    with session.client() as client:
        client.clusters.forget(name)
    note(f"Forgot the cluster {name}.")


def _show(found: Cluster) -> None:
    print_details(
        {
            "Cluster": found.id,
            "Connected": yes_no(found.connected),
            "Reported": moment(found.reported_at),
            "Agent": f"{found.version}, mode {found.mode}",
            "Revision": str(found.revision),
            "Namespaces": str(found.namespaces),
            "Secrets": f"{found.secrets} right, {found.pending} pending, {found.failed} failed",
        }
    )
    if found.registries:
        click.echo()
        print_table(
            ["RECORD", "SECRETS", "PENDING", "FAILED"],
            ([r.id, str(r.secrets), str(r.pending), str(r.failed)] for r in found.registries),
        )
    problems = [(r.id, problem) for r in found.registries for problem in r.problems]
    if problems:
        click.echo()
        print_table(
            ["RECORD", "NAMESPACE", "CODE", "WHY"],
            ([record, p.namespace or "-", p.code, p.message] for record, p in problems),
        )
