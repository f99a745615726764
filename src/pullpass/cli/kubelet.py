"""``pullpass kubelet``: pulling without pull secrets, by the kubelet's own plugin."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.lazy import WholeLines
from pullpass.cli.local import LocalFailure
from pullpass.cli.output import print_json
from pullpass.cli.session import Session
from pullpass.plugins.launcher import launcher

_PROVIDER = "pullpass-credential-provider"
_WITHOUT_CREDENTIALS = ("public", "secret_ref")
_ADDRESS = re.compile(r"(?:https?://)?([^/]+)(.*)", re.IGNORECASE)
# A kubelet calls Docker Hub docker.io, whatever a manifest calls it but for the last two.
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_TOKEN_FILE = "/etc/pullpass/token"  # noqa: S105


@click.group(cls=WholeLines)
def kubelet() -> None:
    """Configure kubelets to pull with Pullpass's credentials."""


@kubelet.command()
@click.option(
    "--node-token-file",
    metavar="FILE",
    help=f"Where a node keeps its API token.  [default: {_TOKEN_FILE}, unless --service-account-"
    "token is given]",
)
@click.option("--node-url", metavar="URL", help="The server's address, as nodes reach it.")
@click.option("--node-ca-bundle", metavar="FILE", help="Authorities that nodes are to trust.")
@click.option(
    "--service-account-token",
    metavar="AUDIENCE",
    help="Ask as the pod's service account, by a token for this audience and a trust rule.",
)
@click.option(
    "--cache-seconds",
    type=click.IntRange(min=0),
    default=300,
    show_default=True,
    help="How long a kubelet keeps a credential that does not expire.",
)
@click.pass_obj
def config(
    session: Session,
    node_token_file: str | None,
    node_url: str | None,
    node_ca_bundle: str | None,
    service_account_token: str | None,
    cache_seconds: int,
) -> None:
    """Print a CredentialProviderConfig for the kubelet's flag --image-credential-provider-config.

    It names the images of every record that has a credential. Print it anew when a record for
    another registry is added. It is JSON, which a kubelet takes like YAML, and holds no token.
    """
    with session.client() as client:
        records = client.registries.list()
    images = _match_images(
        record.registry for record in records if record.type not in _WITHOUT_CREDENTIALS
    )
    if not images:
        raise LocalFailure(
            "No record has a credential, and a kubelet wants at least one image to match. "
            "Add a record with 'pullpass registry create'.",
            ExitCode.NOT_FOUND,
        )
    if not node_token_file and not service_account_token:
        node_token_file = _TOKEN_FILE
    env = {
        "PULLPASS_URL": node_url or session.url,
        "PULLPASS_ORG": session.organization,
        "PULLPASS_TOKEN_FILE": node_token_file,
        "PULLPASS_CA_BUNDLE": node_ca_bundle,
    }
    provider: dict[str, object] = {
        "name": _PROVIDER,
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "matchImages": images,
        "defaultCacheDuration": f"{cache_seconds}s",
        "env": [{"name": name, "value": value} for name, value in env.items() if value],
    }
    if service_account_token:
        provider["tokenAttributes"] = {
            "serviceAccountTokenAudience": service_account_token,
            # A trust rule may ask for any claim, and some are the pod's own.
            "cacheType": "Token",
            # A static pod has no service account; with a token of the node, it needs none.
            "requireServiceAccount": node_token_file is None,
        }
    print_json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1",
            "kind": "CredentialProviderConfig",
            "providers": [provider],
        }
    )


@kubelet.command()
def plugin() -> None:
    """Print a script that starts the plugin, for the kubelet's --image-credential-provider-bin-dir.

    It has the paths of this Python and this installation in it, so run this on the node, and again
    after either has moved. It starts several times faster than the one that pip makes.
    """
    click.echo(launcher(_PROVIDER), nl=False)


def _match_images(registries: Iterable[str]) -> list[str]:
    """The patterns that cover these records: a kubelet's wildcards are a record's own.

    Source: kubernetes pkg/credentialprovider/keyring.go, ``URLsMatch``.
    """
    patterns = {pattern for registry in registries for pattern in _patterns(registry)}
    return sorted(
        pattern
        for pattern in patterns
        if not any(pattern.startswith(f"{other}/") for other in patterns)
    )


def _patterns(registry: str) -> list[str]:
    found = _ADDRESS.fullmatch(registry)
    if found is None:
        return []
    domain, path = found[1].lower(), found[2].rstrip("/")
    if path in ("/v1", "/v2"):
        path = ""
    return [f"{host}{path}" for host in (_HUB if domain in _HUB else (domain,))]
