"""``pullpass docker-config``: a Docker config, or a Kubernetes pull secret, for images."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import click

from pullpass.cli.files import replace_file
from pullpass.cli.images import expanded
from pullpass.cli.output import is_over, moment, note, shown
from pullpass.cli.session import Session
from pullpass.client.configs import DockerConfig

_EXAMPLES = """\b
Examples:
  pullpass docker-config ghcr.io/acme/app:1.2 --file auth.json
  skopeo copy --authfile auth.json docker://ghcr.io/acme/app:1.2 oci:app
  pullpass docker-config - --secret pull --namespace web < images.txt | kubectl apply -f -
"""
# An RFC 1123 subdomain, as secrets are named. What a namespace may be is less; the API server says.
_KUBERNETES_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@click.command("docker-config", epilog=_EXAMPLES)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--file", "-f", metavar="PATH", help="Write it there, for you alone, and not to stdout."
)
@click.option("--secret", metavar="NAME", help="Make a Kubernetes pull secret of this name.")
@click.option("--namespace", metavar="NAME", help="The namespace of the secret.")
@click.pass_obj
def docker_config(
    session: Session,
    images: tuple[str, ...],
    file: str | None,
    secret: str | None,
    namespace: str | None,
) -> None:
    """Print a Docker config (config.json, auth.json) with the credentials for each IMAGE.

    With - as IMAGE, read them from stdin. An image without a record is left out, and pulled
    anonymously. If the credential of one cannot be had, nothing is printed.

    With --secret, print a Kubernetes Secret of type kubernetes.io/dockerconfigjson instead (as
    JSON, which kubectl takes like YAML).
    """
    if namespace is not None and secret is None:
        raise click.UsageError("--namespace is for a Kubernetes secret: give --secret NAME too.")
    for option, name in (("--secret", secret), ("--namespace", namespace)):
        if name is not None and not _KUBERNETES_NAME.fullmatch(name):
            raise click.UsageError(
                f"{option} is {name!r}; expected a name of Kubernetes: lower-case letters, digits, "
                "'-' and '.'."
            )
    asked = expanded(images)
    with session.client() as client:
        found = client.docker_config(asked, consumer="kubelet" if secret else "docker")
    content = found.reveal() if secret is None else _manifest(found, secret, namespace)
    text = json.dumps(content, indent=2) + "\n"
    if file is None:
        click.echo(text, nl=False)
    else:
        replace_file(Path(file), text.encode(), mode=0o600)
    _explain(found, kubelet=secret is not None)


def _manifest(found: DockerConfig, name: str, namespace: str | None) -> dict[str, object]:
    """https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets"""
    metadata: dict[str, object] = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {"app.kubernetes.io/managed-by": "pullpass"}
    content = json.dumps(found.reveal()).encode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(content).decode()},
    }


def _explain(found: DockerConfig, *, kubelet: bool) -> None:
    """What to know about it, for a person: on stderr."""
    if found.without:
        note(f"Without a credential, and pulled anonymously: {shown(found.without)}.")
    for key, auth in found.auths.items():
        if kubelet and "/" in key and not key.endswith("/"):
            note(
                f"A kubelet tries the credential of {shown(key)} for every name that begins so, "
                f"such as {shown(key)}2/app, too."
            )
        elif not kubelet and "/" not in key and auth is None:
            note(
                f"There are several credentials for {shown(key)}: docker, helm and oras, which "
                "look for the host only, use none. podman, skopeo, buildah and crane do."
            )
    if found.expires is not None:
        note(f"It {'ended' if is_over(found.expires) else 'ends'} at {moment(found.expires)}.")
