"""The `auths` of a Kubernetes pull secret (`kubernetes.io/dockerconfigjson`), as kubelets read it.

A kubelet takes every key whose host matches label by label (`*` within one), whose port is the
same, and whose path is how the image's begins: as text, so that `h/team` is tried for `h/teamwork`
too (``URLsMatch`` in kubernetes, ``pkg/credentialprovider/keyring.go``). A key that ends in a slash
is not, but neither is it for an image that is named exactly as the path. Hence, and other than in
``docker_config``:

- A record's key ends in a slash, unless an image is asked for that is the prefix itself.
- No host has a key but by a record for all of it, and no image has an entry to shield it.

Docker Hub as a whole is `https://index.docker.io/v1/`, which counts where no other key matches;
a part of it is `docker.io/…`, for that is how a kubelet calls the image.
"""

from __future__ import annotations

from collections.abc import Iterable

from pullpass.domain.image import DOCKER_HUB
from pullpass.formats.docker_config import HUB_KEY, Auths, Grant, entry, key


def kubelet_auths(grants: Iterable[Grant]) -> Auths:
    """The `auths` for all these grants, secrets in the clear. A host may hold `*`."""
    return {
        _key(grant): entry(grant.credential) for grant in grants if grant.credential is not None
    }


def _key(grant: Grant) -> str:
    if not grant.path:
        return HUB_KEY if grant.host == DOCKER_HUB else grant.host
    # Of a record alone nobody knows the images: all that it is for have to be let in.
    may_be_the_prefix = grant.repository in ((), grant.path)
    return key(grant.host, grant.path) + ("" if may_be_the_prefix else "/")
