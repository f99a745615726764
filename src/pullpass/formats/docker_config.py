"""The `auths` of a Docker config (`config.json`, containers `auth.json`): one for all its readers.

Who reads which key, most wanted first:

- podman, skopeo, buildah: the repository, then each shorter path by whole components, then the
  host (containers-auth.json(5); ``findCredentialsInFile`` in go.podman.io/image).
- crane, kaniko, ko, Flux (go-containerregistry): the exact repository, then the host; an empty
  entry counts as none (``pkg/authn/keychain.go``).
- docker, BuildKit, helm, oras: the host. Where it has no key of its own, any key that begins with
  it, in no order (``fileStore.Get`` in github.com/docker/cli; ``Config.GetCredential`` in
  oras.land/oras-go/v2).

The rule that serves all of them at once:

1. The prefix of each record is a key.
2. The host is a key wherever one of its credentials is given: that of the record for the whole
   host, else the only credential there is, else an empty entry. So no reader picks one of several
   at random, and those that know hosts only go without rather than log in as somebody else.
3. The repository of each image that gets something else than its host's key is a key, for the
   readers of exact repositories.
4. An image without a credential has an empty entry, so that a shorter key does not catch it.
   (``docker login`` writes such entries itself, where a helper keeps the secret.)

Docker Hub as a whole stands under `https://index.docker.io/v1/` for docker, helm, oras and crane,
and under `docker.io` for the others. A repository on it is `docker.io/…` to podman, and
`index.docker.io/…` to go-containerregistry.

Every entry has `auth`; entries with `username` and `password` only are ignored by most readers.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from pullpass.domain.credential import Credential
from pullpass.domain.image import DOCKER_HUB, ImageReference
from pullpass.domain.prefix import RegistryPrefix

HUB_KEY = "https://index.docker.io/v1/"
_HUB_OF_GO_CONTAINERREGISTRY = "index.docker.io"

Auths = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Grant:
    """What an image gets, or what a record gives: a credential, or none.

    ``path`` is the record's, below ``host``; ``repository`` is the image's, and empty where the
    question was about the record alone.
    """

    host: str
    path: tuple[str, ...]
    credential: Credential | None
    repository: tuple[str, ...] = ()

    @classmethod
    def to_image(
        cls, image: ImageReference, prefix: RegistryPrefix | None, credential: Credential | None
    ) -> Grant:
        """``prefix`` is that of the record that matches, None where none does.

        Clients look the host up as the image spells it, so that is what counts; a record with a
        `*` in its host gives each host a key of its own.
        """
        host = DOCKER_HUB if image.host == DOCKER_HUB else image.domain
        return cls(host, prefix.path if prefix else (), credential, image.path)

    @classmethod
    def of_record(cls, prefix: RegistryPrefix, credential: Credential | None) -> Grant:
        return cls(prefix.domain, prefix.path, credential)


def docker_auths(grants: Iterable[Grant]) -> Auths:
    """The `auths` for all these grants, secrets in the clear, by the rule above."""
    by_host: dict[str, list[Grant]] = {}
    for grant in grants:
        by_host.setdefault(grant.host, []).append(grant)
    auths: Auths = {}
    for host, granted in by_host.items():
        auths |= _auths_of(host, granted)
    return auths


def entry(credential: Credential | None) -> dict[str, str]:
    """One value of `auths`: the Base64 of `user:password` in UTF-8, or nothing."""
    if credential is None:
        return {}
    pair = f"{credential.username}:{credential.password.reveal()}"
    return {"auth": base64.b64encode(pair.encode()).decode()}


def key(host: str, path: tuple[str, ...]) -> str:
    return "/".join((host, *path))


def _auths_of(host: str, grants: list[Grant]) -> Auths:
    given = [grant for grant in grants if grant.credential is not None]
    if not given:
        return {}
    whole = _of_whole_host(given)
    is_hub = host == DOCKER_HUB
    auths = {name: entry(whole) for name in ((HUB_KEY, DOCKER_HUB) if is_hub else (host,))}
    for grant in grants:
        if grant.path:
            auths[key(host, grant.path)] = entry(grant.credential)
        if grant.repository and grant.credential != whole:
            auths[key(host, grant.repository)] = entry(grant.credential)
            if is_hub:
                exact = key(_HUB_OF_GO_CONTAINERREGISTRY, grant.repository)
                auths[exact] = entry(grant.credential)
    return auths


def _of_whole_host(given: list[Grant]) -> Credential | None:
    for grant in given:
        if not grant.path:
            return grant.credential
    first = given[0].credential
    return first if all(grant.credential == first for grant in given) else None
