"""A credential on stdout, for whoever asked for it."""

from __future__ import annotations

from pullpass.cli.output import ending, note, print_details, print_json
from pullpass.client.models import Credentials


def show_credentials(found: Credentials, output: str) -> None:
    if output == "json":
        print_json(found, reveal=True)
        return
    password = found.password.reveal() if found.password is not None else None
    if password is not None and not password.isprintable():
        password = "(not printable on one line: use --output json)"  # noqa: S105
    print_details(
        {
            "Record": found.id,
            "Registry": found.registry,
            "Username": found.username,
            "Password": password,
            "Expires": ending(found.expires, absent="never, as far as known")
            if found.username is not None
            else None,
        }
        | {
            f"Secret {cluster}": f"{reference.namespace}/{reference.secret}"
            for cluster, reference in (found.secrets or {}).items()
        }
    )
    if found.username is None and not found.secrets:
        note("No credential is needed: the record is public.")
