"""``pullpass``: the command line's entry."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from pullpass import __version__
from pullpass.cli.completion import PROGRAM, VARIABLE
from pullpass.cli.exit_codes import MEANING, ExitCode, exit_code
from pullpass.cli.lazy import Entry, LazyGroup, missing_extra
from pullpass.cli.output import shown
from pullpass.cli.session import DEFAULT_TIMEOUT, Session
from pullpass.client.errors import ApiError, ClientError

ENTRIES = {
    "init": Entry("pullpass.cli.init:init", "Set up a server."),
    "serve": Entry("pullpass.cli.serve:serve", "Run a server."),
    "backup": Entry("pullpass.cli.backup:backup", "Copy a server's database into a file."),
    "restore": Entry("pullpass.cli.backup:restore", "Fill an empty database from a backup."),
    "keys": Entry("pullpass.cli.keys:keys", "Show and rotate a server's master key."),
    "agent": Entry(
        "pullpass.cli.agent:agent", "Keep the pull secrets of a Kubernetes cluster right."
    ),
    "registry": Entry("pullpass.cli.registry:registry", "List, write and check registry records."),
    "match": Entry("pullpass.cli.images:match", "Say which record each IMAGE matches, and why."),
    "creds": Entry("pullpass.cli.images:creds", "Print the credential for IMAGE."),
    "kubelet": Entry(
        "pullpass.cli.kubelet:kubelet", "Configure kubelets to pull with Pullpass's credentials."
    ),
    "docker-config": Entry(
        "pullpass.cli.docker_config:docker_config",
        "Print a Docker config, or a Kubernetes pull secret, for each IMAGE.",
    ),
    "import": Entry(
        "pullpass.cli.imports.commands:import_",
        "Make records of the credentials in a Docker config, or in a cluster.",
    ),
    "token": Entry("pullpass.cli.token:token", "List, create, delete and exchange API tokens."),
    "trust": Entry(
        "pullpass.cli.trust:trust", "Say whose identity tokens are taken, for which role."
    ),
    "user": Entry(
        "pullpass.cli.user:user", "List, add, change and remove the users of the organization."
    ),
    "cluster": Entry("pullpass.cli.cluster:cluster", "Show the clusters that agents look after."),
    "docker": Entry(
        "pullpass.cli.docker.commands:docker",
        "Let docker, podman, skopeo and buildah ask for credentials.",
    ),
    "login": Entry("pullpass.cli.login:login", "Keep a server and a token for this user."),
    "logout": Entry("pullpass.cli.login:logout", "Forget them."),
    "audit": Entry("pullpass.cli.audit:audit", "Read, export and verify the audit log."),
    "whoami": Entry("pullpass.cli.user:whoami", "Show whose token this is, and its roles."),
    "completion": Entry(
        "pullpass.cli.completion:completion", "Print the completion script of a shell."
    ),
}

_EPILOG = """\b
Environment:
  PULLPASS_TOKEN       the API token (instead of that of pullpass login)
  PULLPASS_TOKEN_FILE  a file that holds it

\b
Exit codes:
""" + "\n".join(f"  {code.value:<4} {meaning}" for code, meaning in MEANING.items())


@click.group(PROGRAM, cls=LazyGroup, entries=ENTRIES, epilog=_EPILOG)
@click.option("--url", envvar="PULLPASS_URL", show_envvar=True, help="The server's address.")
@click.option("--org", envvar="PULLPASS_ORG", show_envvar=True, help="The organization's id.")
@click.option("--token-file", metavar="FILE", help="A file that holds the API token.")
@click.option(
    "--ca-bundle",
    envvar="PULLPASS_CA_BUNDLE",
    show_envvar=True,
    metavar="FILE",
    help="Trust the authorities in this PEM file.",
)
@click.option(
    "--timeout",
    envvar="PULLPASS_TIMEOUT",
    show_envvar=True,
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    show_default=str(DEFAULT_TIMEOUT),
    metavar="SECONDS",
    help="How long to wait for an answer.",
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def root(
    ctx: click.Context,
    url: str | None,
    org: str | None,
    token_file: str | None,
    ca_bundle: str | None,
    timeout: float | None,
) -> None:
    """One place for an organization's container registry credentials."""
    ctx.obj = Session(url, org, token_file, ca_bundle, timeout)


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line; the result is its exit code.

    What fails says so in one line on stderr, and never with a traceback.
    """
    if instruction := os.environ.get(VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(root, {}, PROGRAM, VARIABLE, instruction)
    try:
        code = _invoke(list(arguments))
        # Without a stdout (`>&-`) there is nothing to write.
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it ends; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        return _failed(f"The output cannot be written: {error.strerror}.", ExitCode.FAILED)
    return code


def _invoke(arguments: list[str]) -> int:
    try:
        with root.make_context(PROGRAM, arguments) as ctx:
            root.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _failed("Interrupted.", ExitCode.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else PROGRAM
        # A list of choices has a line of its own, without a full stop.
        said = error.format_message().rstrip()
        stop = "" if said.endswith((".", "?", ")")) else "."
        text = f"{said}{stop} Try '{command} --help'."
        return _failed(text, ExitCode.USAGE)
    except click.ClickException as error:
        return _failed(error.format_message(), ExitCode(error.exit_code))
    except ApiError as error:
        # Someone will look for it in the server's log.
        request = (
            f" (request {error.request_id})" if error.request_id and error.status >= 500 else ""
        )
        return _failed(error.message + request, exit_code(error))
    except ClientError as error:
        return _failed(error.message, exit_code(error))
    except ModuleNotFoundError as error:
        if (message := missing_extra(error)) is None:
            raise
        return _failed(message, ExitCode.FAILED)
    return ExitCode.OK


def _failed(message: str, code: int) -> int:
    click.echo(f"{PROGRAM}: {shown(' '.join(message.split()))}", err=True)
    return code


if __name__ == "__main__":
    main()
