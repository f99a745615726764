"""`pullpass agent`: look after the pull secrets of a Kubernetes cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.parameters import Address
from pullpass.cli.session import Session
from pullpass.client.errors import InvalidArgument

if TYPE_CHECKING:
    from pullpass.client.aio import AsyncClient


@click.command()
@click.option(
    "--cluster",
    required=True,
    envvar="PULLPASS_CLUSTER",
    show_envvar=True,
    metavar="NAME",
    help="The cluster's name in Pullpass.",
)
@click.option(
    "--mode",
    type=click.Choice(["needed", "all"]),
    default="needed",
    show_default=True,
    help="The secrets that the images of a namespace match, or all of them.",
)
@click.option(
    "--attach",
    type=click.Choice(["default", "all", "none"]),
    default="default",
    show_default=True,
    help="The service accounts that get the secrets as imagePullSecrets.",
)
@click.option(
    "--namespace-selector",
    default="",
    metavar="LABELS",
    help="Only namespaces with these labels, like 'team=a,env in (dev,test)'.",
)
@click.option(
    "--exclude",
    multiple=True,
    default=("kube-*",),
    show_default=True,
    metavar="PATTERN",
    help="Leave namespaces with such names alone; may be given more than once.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a secret stays that is no longer needed.",
)
@click.option(
    "--identity-token-file",
    envvar="PULLPASS_IDENTITY_TOKEN_FILE",
    show_envvar=True,
    metavar="FILE",
    help="Exchange the token in this file, of the pod's service account, for one of Pullpass.",
)
@click.option("--context", metavar="NAME", help="The context of the kubeconfig.")
@click.option(
    "--qps",
    type=click.FloatRange(min=0, min_open=True),
    default=50.0,
    show_default=True,
    metavar="N",
    help="Requests to the API server per second, at most.",
)
@click.option(
    "--burst",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Requests to the API server at once, at most.",
)
@click.option("--lease-namespace", metavar="NAME", help="Where the Lease of the leader is.")
@click.option(
    "--lease-name", default="pullpass-agent", show_default=True, metavar="NAME", help="Its name."
)
@click.option(
    "--lease-seconds",
    type=click.IntRange(min=3),
    default=15,
    show_default=True,
    metavar="SECONDS",
    help="After how long another replica takes over from one that is gone.",
)
@click.option(
    "--listen", type=Address(), metavar="HOST:PORT", help="Serve health and metrics there."
)
@click.option(
    "--webhook",
    type=Address(),
    metavar="HOST:PORT",
    help="Serve the admission webhook there, which names the secrets in new pods.",
)
@click.option(
    "--webhook-configuration",
    default="pullpass-agent",
    show_default=True,
    metavar="NAME",
    help="The MutatingWebhookConfiguration that leads to it.",
)
@click.option(
    "--webhook-secret",
    default="pullpass-agent-webhook",
    show_default=True,
    metavar="NAME",
    help="Where its certificate is kept, beside the Lease.",
)
@click.option(
    "--webhook-days",
    type=click.FloatRange(min=0, max=3650, min_open=True),
    default=90.0,
    show_default=True,
    metavar="DAYS",
    help="How long a certificate lives; it is renewed when a third is left.",
)
@click.option("--once", is_flag=True, help="Bring all to where it should be, and end.")
@click.option("--dry-run", is_flag=True, help="Say what that would take, and change nothing.")
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is told on stderr.",
)
@click.pass_context
def agent(
    ctx: click.Context,
    cluster: str,
    mode: str,
    attach: str,
    namespace_selector: str,
    exclude: tuple[str, ...],
    grace: float,
    identity_token_file: str | None,
    context: str | None,
    qps: float,
    burst: int,
    lease_namespace: str | None,
    lease_name: str,
    lease_seconds: int,
    listen: tuple[str, int] | None,
    webhook: tuple[str, int] | None,
    webhook_configuration: str,
    webhook_secret: str,
    webhook_days: float,
    once: bool,
    dry_run: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Keep the image pull secrets of a Kubernetes cluster right, until SIGTERM or Ctrl-C.

    It runs in a pod of the cluster, or where a kubeconfig leads to it (KUBECONFIG). Its token is
    one of the role `cluster`, for the cluster of this name; or it has none of its own, and a trust
    rule takes its service account's. Token files are read again when a token is refused.

    With --once or --dry-run the exit code is 1 if something failed.
    """
    try:
        from pullpass.agent.kube import SettingsError
        from pullpass.agent.main import AgentSettings, run
        from pullpass.agent.webhook.main import WebhookSettings
        from pullpass.server import logs
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"This command needs pip install 'pullpass[agent]' ({error.name!r} is missing)."
        ) from None

    session: Session = ctx.obj
    # What is missing is said now, and not when this replica leads one day.
    if identity_token_file is None:
        session.async_client()
    else:
        session.client(needs_token=False).close()
    logs.configure(log_format, log_level)
    settings = AgentSettings(
        cluster=cluster,
        mode="all" if mode == "all" else "needed",
        attach="all" if attach == "all" else "none" if attach == "none" else "default",
        namespace_selector=namespace_selector,
        exclude=exclude,
        grace=grace,
        context=context,
        rate=qps,
        burst=burst,
        lease_namespace=lease_namespace,
        lease_name=lease_name,
        lease_seconds=lease_seconds,
        listen=listen,
        webhook=webhook
        and WebhookSettings(webhook, webhook_configuration, webhook_secret, webhook_days),
        once=once,
        dry_run=dry_run,
    )

    def connect() -> AsyncClient:
        try:
            return session.async_client(identity_token_file)
        except click.UsageError as error:
            # A token file that is being replaced: it is read again.
            raise InvalidArgument(error.message) from None

    try:
        done = run(settings, connect)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"Cannot listen: {error.strerror}.") from None
    if not done:
        ctx.exit(ExitCode.FAILED)
