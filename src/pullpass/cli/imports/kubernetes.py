"""The pull secrets of a cluster, read by its API with what a kubeconfig says."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.config.kubeconfig import SingleConfig

# Type, and the name of the one datum in it:
# https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets
_TYPES = (
    ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    ("kubernetes.io/dockercfg", ".dockercfg"),
)
_PAGE = 250
_EVERY_NAMESPACE = "*"
_DEFAULT = "~/.kube/config"
_EXEC_API = "client.authentication.k8s.io/"


class ClusterFailed(Exception):
    """The kubeconfig cannot be used, or the cluster does not answer or refuses; says which."""


@dataclass(frozen=True, slots=True)
class PullSecret:
    """``source`` is `NAMESPACE/NAME`; ``content`` a Docker config."""

    source: str
    content: bytes = field(repr=False)


def pull_secrets(
    kubeconfig: str | None, context: str | None, namespace: str | None, *, everywhere: bool
) -> list[PullSecret]:
    """All pull secrets of a namespace (the context's own where none is named), or of all.

    ``kubeconfig`` is a file; otherwise KUBECONFIG names it, or it is ~/.kube/config.

    Raises:
        ClusterFailed: the kubeconfig cannot be used, or the cluster does not answer or refuses.
    """
    import httpx2
    from lightkube.core.exceptions import ApiError, ConfigError

    where = _path(kubeconfig)
    config = _config(where, context)
    if everywhere:
        namespace = _EVERY_NAMESPACE
    try:
        with _client(config) as client:
            return list(_listed(client, namespace))
    except ApiError as error:
        raise ClusterFailed(f"The cluster refuses: {error.status.message}.") from None
    except ConfigError as error:
        raise ClusterFailed(f"The kubeconfig {where!r}: {error}.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        server = config.cluster.server
        raise ClusterFailed(f"No answer from {server}: {error or type(error).__name__}.") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # What lightkube, and an exec plugin under it, make of answers that are not as agreed.
        raise ClusterFailed(
            f"{config.cluster.server} does not answer as a cluster does ({type(error).__name__})."
        ) from None


def _path(kubeconfig: str | None) -> str:
    path = kubeconfig or os.environ.get("KUBECONFIG") or _DEFAULT
    if kubeconfig is None and os.pathsep in path:
        raise ClusterFailed("KUBECONFIG names several files: give one with --kubeconfig.")
    return os.path.expanduser(path)


def _config(path: str, context: str | None) -> SingleConfig:
    """The context of the kubeconfig, made such that lightkube takes it."""
    import yaml
    from lightkube import KubeConfig
    from lightkube.config.models import User
    from lightkube.core.exceptions import ConfigError

    try:
        found = KubeConfig.from_file(path).get(context)
    except OSError as error:
        raise ClusterFailed(f"The kubeconfig {path!r}: {error.strerror}.") from None
    except ConfigError as error:
        raise ClusterFailed(f"The kubeconfig {path!r}: {error}.") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        # Nothing of it is repeated: it holds secrets.
        raise ClusterFailed(f"{path!r} is not a kubeconfig.") from None
    if found is None:
        raise ClusterFailed(f"The kubeconfig {path!r} has no such context.")
    user = found.user or User()
    if user.exec is not None and user.exec.apiVersion == f"{_EXEC_API}v1":
        # Of a token, v1 and v1beta1 say the same, and lightkube knows the older name only.
        user.exec.apiVersion = f"{_EXEC_API}v1beta1"
    return found._replace(user=user)


def _client(config: SingleConfig) -> Client:
    from lightkube import Client

    return Client(config=config, trust_env=True)


def _listed(client: Client, namespace: str | None) -> Iterator[PullSecret]:
    from lightkube.resources.core_v1 import Secret

    for kind, datum in _TYPES:
        for secret in client.list(
            Secret, namespace=namespace, fields={"type": kind}, chunk_size=_PAGE
        ):
            metadata = secret.metadata
            encoded = (secret.data or {}).get(datum, "")
            try:
                content = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                content = b""
            if metadata is not None:
                yield PullSecret(f"{metadata.namespace}/{metadata.name}", content)
