r"""Image references as people write them: `nginx`, `ghcr.io/org/app:1.2`, `host:5000/a@sha256:…`.

The grammar and the normalization are those of github.com/distribution/reference v0.6
(``ParseNormalizedNamed``), which Docker, containerd and Podman share: what it accepts is accepted
here, into the same parts, and nothing else is. Go's ``\w`` and ``$`` know ASCII and the end of the
text only, hence ``re.ASCII`` and ``fullmatch`` here. What may follow each repetition never starts
with a character that the repetition takes, so that every expression is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pullpass.domain.errors import InvalidImageReference

DOCKER_HUB = "docker.io"
# index.docker.io is the one alias that distribution/reference folds itself; the others are the
# addresses under which the same registry answers and under which clients file its credentials.
_DOCKER_HUB_ALIASES = frozenset(
    {"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
# reference.RepositoryNameTotalLengthMax; the domain does not count.
MAX_REPOSITORY_LENGTH = 255
_MAX_SHOWN = 100

PATH_COMPONENT = r"[a-z0-9]+(?:(?:__?|\.|-+)[a-z0-9]+)*"
IPV6 = r"\[[a-fA-F0-9:]+\]"
_LABEL = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_REPOSITORY = rf"{PATH_COMPONENT}(?:/{PATH_COMPONENT})*"
_TAG = r"\w[\w.-]{0,127}"
# The reference grammar leaves the algorithm open; go-digest v1.0 then refuses all but these.
_DIGEST = r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}"

_IS_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|{IPV6})(?::[0-9]+)?", re.ASCII)
_IS_REPOSITORY = re.compile(_REPOSITORY)
_IS_TAG = re.compile(_TAG, re.ASCII)
_IS_REST = re.compile(rf"({_REPOSITORY})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_IS_IMAGE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A normalized reference; ``str()`` is its canonical form, which parses to an equal value.

    ``domain`` and ``repository`` are exactly distribution/reference's ``Domain`` and ``Path``:
    the domain keeps its case, for `Foo/bar` is an image on the host `Foo` and `foo/bar` is one on
    Docker Hub. It is empty where distribution/reference accepts a name such as `my_host.io/app`
    whose first component can be no host; such an image matches no prefix.

    ``host`` and ``location`` are what matching compares: the host (with its port) in lower case,
    every name of Docker Hub as `docker.io`; and `{host}/{repository}`.
    """

    domain: str
    repository: str
    tag: str | None
    digest: str | None
    host: str = field(init=False, compare=False, repr=False)
    location: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        host = registry_host(self.domain)
        path = self.repository
        if host == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        object.__setattr__(self, "host", host)
        object.__setattr__(self, "location", f"{host}/{path}" if host else path)

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """The normalized reference that ``text`` stands for.

        Raises InvalidImageReference, which says what is wrong and what would be right.
        """
        if _IS_IMAGE_ID.fullmatch(text):
            raise _invalid(text, "it is an image ID (64 hex digits); use the image's name")
        domain, rest = _split_domain(text)
        if _IS_DOMAIN.fullmatch(domain):
            parts = _IS_REST.fullmatch(rest)
        else:
            parts, domain, rest = _IS_REST.fullmatch(f"{domain}/{rest}"), "", f"{domain}/{rest}"
        if parts is None:
            raise _invalid(text, _problem(text))
        repository, tag, digest = parts.groups()
        if len(repository) > MAX_REPOSITORY_LENGTH:
            raise _invalid(
                text, f"the name after the host is longer than {MAX_REPOSITORY_LENGTH} characters"
            )
        return cls(domain, repository, tag, digest)

    @property
    def path(self) -> tuple[str, ...]:
        """The components after the host, as matching sees them (`library` included)."""
        path = self.location[len(self.host) + 1 :] if self.host else self.location
        return tuple(path.split("/"))

    def __str__(self) -> str:
        name = f"{self.domain}/{self.repository}" if self.domain else self.repository
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return name + tag + digest


def is_domain(component: str) -> bool:
    """Whether Docker takes the first component of a name for a host, not a Docker Hub namespace.

    The rule is ``splitDockerDomain``'s in distribution/reference v0.6: a dot, a colon, an
    upper-case letter, or `localhost`.
    """
    return (
        "." in component
        or ":" in component
        or component == "localhost"
        or component.lower() != component
    )


def registry_host(domain: str) -> str:
    """A domain as matching compares it: in lower case, Docker Hub's other names folded."""
    host = domain.lower()
    return DOCKER_HUB if host in _DOCKER_HUB_ALIASES else host


def excerpt(text: str) -> str:
    """``text`` quoted for a message: escaped, bounded, and without what may be a password.

    People paste URLs: what stands before the last '@' or after a '?' is never shown.
    """
    _, at, shown = text.rpartition("@")
    shown, question, _ = shown.partition("?")
    shown = ("...@" if at else "") + shown + ("?..." if question else "")
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}..."
    return ascii(shown)


def _split_domain(text: str) -> tuple[str, str]:
    """``splitDockerDomain`` of distribution/reference v0.6, step by step."""
    first, slash, rest = text.partition("/")
    if not slash:
        return DOCKER_HUB, f"library/{text}"
    if first == "index.docker.io":
        domain = DOCKER_HUB
    elif is_domain(first):
        domain = first
    else:
        domain, rest = DOCKER_HUB, text
    if domain == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _invalid(text: str, problem: str) -> InvalidImageReference:
    return InvalidImageReference(f"{excerpt(text)} is not an image reference: {problem}.")


def _problem(text: str) -> str:
    """Why ``text``, which the grammar refused, is no reference, and what to write instead."""
    domain, rest = _split_domain(text)
    before, at, digest = rest.partition("@")
    name, colon, tag = before.partition(":")
    if not text:
        return "it is empty; write a name, like nginx or ghcr.io/org/app:1.2"
    if "://" in text:
        return "it is a URL; leave out the part up to and including '://'"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "it holds a space, a control character or a character outside ASCII"
    if not _IS_DOMAIN.fullmatch(domain):
        return (
            "what stands before the first '/' is not a host; write letters, digits, '-' and '.' "
            "and perhaps a port, like registry.example.com:5000"
        )
    if name.lower() != name:
        return "the name after the host has upper-case letters; write it in lower case"
    if not _IS_REPOSITORY.fullmatch(name):
        return (
            "each part of the name between '/' takes lower-case letters and digits, with '.', "
            "'_', '__' or dashes only between them"
        )
    if colon and not _IS_TAG.fullmatch(tag):
        return (
            "what follows ':' is not a tag; write up to 128 letters, digits, '_', '.' and '-', "
            "the first of them no '.' and no '-'"
        )
    if at and not re.fullmatch(_DIGEST, digest):
        return (
            "what follows '@' is not a digest; write sha256: and 64 lower-case hex digits "
            "(sha384: takes 96, sha512: 128)"
        )
    return "write it like ghcr.io/org/app:1.2 or ghcr.io/org/app@sha256:..."
