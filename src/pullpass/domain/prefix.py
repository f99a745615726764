"""Registry prefixes: the part of an image's name for which a record holds the credential.

`gcr.io/proj`, `registry:5000`, `*.dkr.ecr.*.amazonaws.com`. Hosts may hold `*` as kubelets match
it (kubernetes credentialprovider keyring, ``URLsMatch``): within one label, never across a dot,
equal numbers of labels, ports literally. Unlike a kubelet's, paths match whole components only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pullpass.domain.errors import InvalidRegistryPrefix
from pullpass.domain.image import (
    IPV6,
    MAX_REPOSITORY_LENGTH,
    PATH_COMPONENT,
    ImageReference,
    excerpt,
    is_domain,
    registry_host,
)

# A host name has at most 253 characters (RFC 1035), a repository 255; the rest is scheme and port.
MAX_PREFIX_LENGTH = 530
_MAX_PORT = 65535

_FORM = "a registry host, with a path where needed, like ghcr.io or ghcr.io/acme"
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_LOOKS_LIKE_DIGEST = re.compile(r"[A-Za-z0-9+._-]+:[0-9A-Fa-f]{32,}")
_LABEL = re.compile(r"[a-z0-9*](?:[a-z0-9*-]*[a-z0-9*])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_IPV6 = re.compile(IPV6)
_STARS = re.compile(r"\*{2,}")
_PATH_COMPONENT = re.compile(PATH_COMPONENT)
_API_PATHS = (("v1",), ("v2",))


@dataclass(frozen=True, slots=True, init=False)
class RegistryPrefix:
    """A normalized prefix; its ``text`` is a record's unique key within an organization.

    ``domain`` is in lower case, its port included; ``path`` may be empty. They are not kept, since
    there may be a million prefixes.
    """

    text: str

    def __init__(self, domain: str, path: tuple[str, ...]) -> None:
        if not is_domain(domain) and "*" not in domain:
            # `Foo` is a host by its capital alone: in lower case it would be read as a namespace.
            domain = domain.upper()
        object.__setattr__(self, "text", "/".join((domain, *path)))

    @classmethod
    def parse(cls, text: str) -> RegistryPrefix:
        """The prefix that ``text`` stands for.

        Dropped: `http://`, `https://`, one trailing slash, and a path that is just the address
        of the registry API (`/v1`, `/v2`). Docker Hub's other names become `docker.io`.

        Raises InvalidRegistryPrefix; its message never repeats what stands before an '@'.
        """
        _refuse_foreign_parts(text)
        rest = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
        if "://" in rest:
            raise InvalidRegistryPrefix(f"{excerpt(text)} has an unknown URL scheme", _FORM)
        first, *components = rest.removesuffix("/").split("/")
        domain = _domain(first, rest)
        path = _path(components, text)
        return cls(domain, () if path in _API_PATHS else path)

    @classmethod
    def normalized(cls, text: str) -> RegistryPrefix:
        """The prefix whose ``text`` this is, which is not checked."""
        prefix = cls.__new__(cls)
        object.__setattr__(prefix, "text", text)
        return prefix

    @property
    def domain(self) -> str:
        return self.text.partition("/")[0].lower()

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.text.split("/")[1:])

    @property
    def is_wildcard(self) -> bool:
        # A path holds none.
        return "*" in self.text

    @property
    def specificity(self) -> tuple[int, int, int, str]:
        """A total order: of the prefixes that match an image, the smallest is the most specific.

        The longest path first; an exact domain before a wildcard one; fewer `*` before more; the
        longer text; and then the text itself, so that every replica orders alike.
        """
        text = self.text
        return (-text.count("/"), text.count("*"), -len(text), text)

    def matches(self, image: ImageReference) -> bool:
        """Whether the image lies under this prefix; its tag and digest never matter."""
        return host_matches(self.domain, image.host) and image.path[: len(self.path)] == self.path

    def __str__(self) -> str:
        return self.text


def parse_helper_query(text: str) -> RegistryPrefix:
    """What a Docker credential helper is asked for: a host, or one with a path, or its URL.

    Space around it is dropped, as docker-credential-helpers does with its input.
    Raises InvalidRegistryPrefix, also for a pattern: a client asks about one host.
    """
    prefix = RegistryPrefix.parse(text.strip())
    if prefix.is_wildcard:
        raise InvalidRegistryPrefix(f"{excerpt(text)} is a pattern", "the name of one host")
    return prefix


def split_port(domain: str) -> tuple[str, str]:
    """`host:5000` and `[::1]:5000` as host and port; the port is empty where there is none."""
    host, colon, port = domain.rpartition(":")
    if not colon or port.endswith("]"):
        return domain, ""
    return host, port


def host_matches(pattern: str, host: str) -> bool:
    """Whether a prefix's domain stands for ``host`` (both normalized, ports included)."""
    if "*" not in pattern:
        return pattern == host
    pattern_name, pattern_port = split_port(pattern)
    name, port = split_port(host)
    globs, labels = pattern_name.split("."), name.split(".")
    return (
        name != ""
        and pattern_port == port
        and len(globs) == len(labels)
        and all(label_matches(glob, label) for glob, label in zip(globs, labels, strict=True))
    )


def label_matches(glob: str, label: str) -> bool:
    """Whether ``glob``, in which `*` stands for any characters or none, matches ``label``.

    The leftmost place for each literal is always the right one, which keeps this linear where a
    regular expression with many stars would not be.
    """
    head, *middles = glob.split("*")
    if not middles:
        return glob == label
    tail = middles.pop()
    start, end = len(head), len(label) - len(tail)
    if start > end or not label.startswith(head) or not label.endswith(tail):
        return False
    for literal in middles:
        found = label.find(literal, start, end)
        if found < 0:
            return False
        start = found + len(literal)
    return True


def _refuse_foreign_parts(text: str) -> None:
    """Refuse what belongs to URLs and images but to no prefix, before any of it is shown."""
    _, at, after = text.rpartition("@")
    if at and _LOOKS_LIKE_DIGEST.fullmatch(after):
        raise InvalidRegistryPrefix("holds a digest", _FORM)
    if at:
        raise InvalidRegistryPrefix(
            "holds credentials before an '@'",
            "the registry host alone; user name and password have fields of their own",
        )
    if "?" in text or "#" in text:
        raise InvalidRegistryPrefix("holds a query or a fragment ('?' or '#')", _FORM)
    if not text:
        raise InvalidRegistryPrefix("is empty", _FORM)
    if len(text) > MAX_PREFIX_LENGTH:
        raise InvalidRegistryPrefix(
            f"has {len(text)} characters", f"at most {MAX_PREFIX_LENGTH} characters"
        )
    if _SPACE_OR_CONTROL.search(text):
        raise InvalidRegistryPrefix(f"{excerpt(text)} holds a space or a control character", _FORM)
    if not text.isascii():
        raise InvalidRegistryPrefix(
            f"{excerpt(text)} holds a character outside ASCII",
            "an international host name in its ASCII form (xn--...)",
        )


def _domain(first: str, rest: str) -> str:
    """The normalized domain; ``rest`` is all of the prefix without its scheme."""
    shown = excerpt(first)
    if not first:
        raise InvalidRegistryPrefix("names no registry host", _FORM)
    if not is_domain(first) and "*" not in first:
        hub = rest.removesuffix("/")
        known = all(_PATH_COMPONENT.fullmatch(component) for component in hub.split("/"))
        raise InvalidRegistryPrefix(
            f"{shown} is not a registry host (it has no dot and no port)",
            f"docker.io/{hub} for Docker Hub, or {_FORM}" if known else _FORM,
        )
    name, port = split_port(first.lower())
    if first.endswith(":") or (port and not (_PORT.fullmatch(port) and int(port) <= _MAX_PORT)):
        raise InvalidRegistryPrefix(
            f"{shown} has no valid port", f"a port from 1 to {_MAX_PORT}, or none"
        )
    if name.startswith("["):
        if not _IPV6.fullmatch(name):
            raise InvalidRegistryPrefix(
                f"{shown} is not an IPv6 address in brackets",
                "hex digits and ':' between the brackets, without '*', like [2001:db8::1]:5000",
            )
        return registry_host(first)
    labels = name.split(".")
    if "" in labels:
        raise InvalidRegistryPrefix(
            f"{shown} has an empty part before, after or between its dots", _FORM
        )
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidRegistryPrefix(
            f"{shown} is not a host name", "letters, digits, '-' and '*' between the dots"
        )
    # `**` matches what `*` does: one spelling, or the same prefix could be recorded twice.
    return registry_host(_STARS.sub("*", first))


def _path(components: list[str], text: str) -> tuple[str, ...]:
    path, shown = "/".join(components), excerpt(text)
    if len(path) > MAX_REPOSITORY_LENGTH:
        raise InvalidRegistryPrefix(
            f"{shown} has {len(path)} characters after the host",
            f"at most {MAX_REPOSITORY_LENGTH}, which is the longest an image's name can be",
        )
    if "*" in path:
        raise InvalidRegistryPrefix(
            f"{shown} has a '*' after the host",
            "'*' in the host only; a path matches everything below it without one",
        )
    if ":" in path:
        raise InvalidRegistryPrefix(f"{shown} holds a tag", _FORM)
    if "" in components:
        raise InvalidRegistryPrefix(f"{shown} has an empty part between two slashes", _FORM)
    if path != path.lower():
        raise InvalidRegistryPrefix(
            f"{shown} has upper-case letters after the host",
            "a path in lower case, as the names of images are",
        )
    if not all(_PATH_COMPONENT.fullmatch(component) for component in components):
        raise InvalidRegistryPrefix(
            f"{shown} has a path that no image's name can have",
            "lower-case letters and digits, with '.', '_', '__' or dashes between them",
        )
    return tuple(components)
