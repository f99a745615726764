"""``pullpass user`` and ``pullpass whoami``: the members of an organization."""

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
)
from pullpass.cli.session import Session
from pullpass.client.accounts import User

_id_argument = click.argument("user_id", metavar="ID")
_cluster_option = click.option(
    "--cluster", metavar="NAME", help="The cluster, for the role 'cluster'."
)
_ROLES = "admin, editor, reader, puller, ci, cluster"


@click.group(cls=WholeLines)
def user() -> None:
    """List, add, change and remove the users of the organization."""


@user.command("list")
@output_option
@click.pass_obj
def list_(session: Session, output: str) -> None:
    """List the users of the organization."""
    with session.client() as client:
        users = client.users.list()
    print_list(
        output,
        users,
        ["ID", "NAME", "TYPE", "ROLE", "CLUSTER", "CREATED"],
        lambda u: [u.id, u.name, u.type, u.role, u.cluster or "-", moment(u.created_at)],
        empty="No users. Add one, for example: pullpass user create build --role ci",
    )


@user.command()
@_id_argument
@output_option
@click.pass_obj
def get(session: Session, user_id: str, output: str) -> None:
    """Show a user."""
    with session.client() as client:
        _show(client.users.get(user_id), output)


@user.command()
@click.argument("name")
@click.option("--role", required=True, metavar="ROLE", help=f"One of {_ROLES}.")
@click.option("--type", metavar="TYPE", help="service (the default) or user.")
@click.option("--email", metavar="ADDRESS", help="How to reach a person.")
@_cluster_option
@output_option
@click.pass_obj
def create(
    session: Session,
    name: str,
    role: str,
    type: str | None,  # noqa: A002 - named by the option
    email: str | None,
    cluster: str | None,
    output: str,
) -> None:
    """Add a user called NAME. Its tokens are made with: pullpass token create --user."""
    with session.client() as client:
        created = client.users.create(name, role, type=type, email=email, cluster=cluster)
    _show(created, output)
    if output == "table":
        note(f"Next, make it a token: pullpass token create ID --user {created.id}")


@user.command()
@_id_argument
@click.option("--role", required=True, metavar="ROLE", help=f"One of {_ROLES}.")
@_cluster_option
@output_option
@click.pass_obj
def update(session: Session, user_id: str, role: str, cluster: str | None, output: str) -> None:
    """Give a user another role."""
    with session.client() as client:
        _show(client.users.update(user_id, role, cluster=cluster), output)


@user.command()
@_id_argument
@yes_option
@click.pass_obj
def delete(session: Session, user_id: str, yes: bool) -> None:
    """Remove a user from the organization."""
    confirm(f"Remove the user {user_id!r} from the organization?", yes=yes)
    with session.client() as client:
        client.users.delete(user_id)
    note(f"Removed the user {user_id!r}.")


@click.command()
@output_option
@click.pass_obj
def whoami(session: Session, output: str) -> None:
    """Show whose token this is, and its roles."""
    with session.client(needs_organization=False) as client:
        profile = client.current_user()
    if output == "json":
        print_json(profile)
        return
    print_details(
        {
            "Name": profile.name,
            "ID": profile.id,
            "Type": profile.type,
            "Email": profile.email or None,
            "Created": moment(profile.created_at),
        }
        | {f"Role in {where}": role for where, role in profile.roles.items()}
    )


def _show(found: User, output: str) -> None:
    if output == "json":
        print_json(found)
        return
    print_details(
        {
            "ID": found.id,
            "Name": found.name,
            "Type": found.type,
            "Role": found.role,
            "Cluster": found.cluster,
            "Email": found.email or None,
            "Created": moment(found.created_at),
        }
    )
