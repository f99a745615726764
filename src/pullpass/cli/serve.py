"""`pullpass serve`: run the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pullpass.cli.local import told

_Function = TypeVar("_Function", bound=Callable[..., Any])


def storage_options(function: _Function) -> _Function:
    """The options that say where a server keeps its data."""
    for option in (
        click.option(
            "--config", metavar="FILE", help="TOML file with [server] and [[registries]]."
        ),
        click.option(
            "--data-dir", metavar="DIR", help="Where the database and keys are.  [default: data]"
        ),
        click.option(
            "--database",
            metavar="URL",
            help="sqlite:///FILE or postgresql://…  [default: SQLite in the data directory]",
        ),
    ):
        function = option(function)
    return function


@click.command()
@storage_options
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", metavar="PORT", help="Port to listen on.  [default: 8080]")
@click.option("--socket", metavar="FILE", help="Unix socket to listen on, instead of a port.")
@click.option("--tls-cert", metavar="FILE", help="Serve HTTPS with this PEM certificate chain.")
@click.option("--tls-key", metavar="FILE", help="The PEM key of the certificate.")
@click.option("--workers", metavar="N", help="Worker processes.  [default: 1]")
@click.option("--log-format", metavar="FORMAT", help="json or console.  [default: json]")
@click.option(
    "--log-level", metavar="LEVEL", help="debug, info, warning or error.  [default: info]"
)
def serve(**options: str | None) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    Each option is also read from the environment (--data-dir from PULLPASS_DATA_DIR, and so on)
    and from the [server] table of the configuration file. A database URL with a password
    belongs in PULLPASS_DATABASE, not on the command line.

    The master key is made on the first start, in the data directory. PULLPASS_MASTER_KEY_FILE
    names another file; PULLPASS_MASTER_KEY holds the key itself.
    """
    with told():
        from pullpass.server import main, settings

        main.serve(settings.load(options))
