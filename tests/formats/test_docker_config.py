"""Which keys a Docker config and a pull secret have, for what grants."""

from __future__ import annotations

import base64

import pytest

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix
from pullpass.formats.docker_config import Auths, Grant, docker_auths
from pullpass.formats.pull_secret import kubelet_auths

HUB = "https://index.docker.io/v1/"


def grant(image: str, registry: str | None, user: str | None) -> Grant:
    prefix = None if registry is None else RegistryPrefix.parse(registry)
    return Grant.to_image(ImageReference.parse(image), prefix, credential(user))


def credential(user: str | None) -> Credential | None:
    return None if user is None else Credential(user, Secret(f"{user}'s password: ü"))


def users(auths: Auths) -> dict[str, str | None]:
    """Whose credential each key has; that each is whole is checked on the way."""
    found: dict[str, str | None] = {}
    for key, fields in auths.items():
        assert set(fields) <= {"auth"}
        user, _, password = base64.b64decode(fields.get("auth", "")).decode().partition(":")
        assert password == (f"{user}'s password: ü" if user else "")
        found[key] = user or None
    return found


@pytest.mark.parametrize(
    ("grants", "docker", "kubelet"),
    [
        ([], {}, {}),
        ([("h.io/app", "h.io", "a")], {"h.io": "a"}, {"h.io": "a"}),
        (
            [("h.io/t/app:1", "h.io/t", "a"), ("h.io/t/b@sha256:" + "a" * 64, "h.io/t", "a")],
            {"h.io": "a", "h.io/t": "a"},
            {"h.io/t/": "a"},
        ),
        (
            [("h.io/t/x/app", "h.io/t/x", "a"), ("h.io/u/app", "h.io/u", "b")],
            {
                "h.io": None,
                "h.io/t/x": "a",
                "h.io/t/x/app": "a",
                "h.io/u": "b",
                "h.io/u/app": "b",
            },
            {"h.io/t/x/": "a", "h.io/u/": "b"},
        ),
        (
            [("h.io/t/app", "h.io/t", "a"), ("h.io/other", "h.io", "b")],
            {"h.io": "b", "h.io/t": "a", "h.io/t/app": "a"},
            {"h.io/t/": "a", "h.io": "b"},
        ),
        (
            [("h.io/t/app", "h.io/t", "a"), ("h.io/free/x", None, None)],
            {"h.io": "a", "h.io/t": "a", "h.io/free/x": None},
            {"h.io/t/": "a"},
        ),
        (
            [("h.io/app", "h.io", "a"), ("h.io/free/x", "h.io/free", None)],
            {"h.io": "a", "h.io/free": None, "h.io/free/x": None},
            {"h.io": "a"},
        ),
        ([("h.io/free/x", "h.io/free", None), ("quay.io/x", None, None)], {}, {}),
        (
            [("h.io:5000/t", "h.io:5000/t", "a")],
            {"h.io:5000": "a", "h.io:5000/t": "a"},
            {"h.io:5000/t": "a"},
        ),
        (
            [("h.io/t", "h.io/t", "a"), ("h.io/t/app", "h.io/t", "a")],
            {"h.io": "a", "h.io/t": "a"},
            {"h.io/t": "a", "h.io/t/": "a"},
        ),
        ([("nginx", "docker.io", "a")], {HUB: "a", "docker.io": "a"}, {HUB: "a"}),
        (
            [("acme/app", "docker.io/acme", "a"), ("nginx", "docker.io", "b")],
            {
                HUB: "b",
                "docker.io": "b",
                "docker.io/acme": "a",
                "docker.io/acme/app": "a",
                "index.docker.io/acme/app": "a",
            },
            {HUB: "b", "docker.io/acme/": "a"},
        ),
        (
            [("eu.h.io/t/a", "*.h.io/t", "a"), ("us.h.io/t/a", "*.h.io/t", "b")],
            {"eu.h.io": "a", "eu.h.io/t": "a", "us.h.io": "b", "us.h.io/t": "b"},
            {"eu.h.io/t/": "a", "us.h.io/t/": "b"},
        ),
        # Clients look for the host as the image spells it.
        ([("H.io/app", "h.io", "a")], {"H.io": "a"}, {"H.io": "a"}),
    ],
)
def test_the_keys_for_images(
    grants: list[tuple[str, str | None, str | None]],
    docker: dict[str, str | None],
    kubelet: dict[str, str | None],
) -> None:
    made = [grant(*each) for each in grants]
    assert users(docker_auths(made)) == docker
    assert users(kubelet_auths(made)) == kubelet
    assert users(docker_auths(reversed(made))) == docker
    assert users(kubelet_auths(reversed(made))) == kubelet


@pytest.mark.parametrize(
    ("registry", "docker", "kubelet"),
    [
        ("https://H.io/v2/", {"h.io"}, {"h.io"}),
        # Without images nobody knows whether one is named as the prefix itself.
        ("h.io/t", {"h.io", "h.io/t"}, {"h.io/t"}),
        ("docker.io", {HUB, "docker.io"}, {HUB}),
        ("*.h.io", {"*.h.io"}, {"*.h.io"}),
    ],
)
def test_the_keys_for_a_record(registry: str, docker: set[str], kubelet: set[str]) -> None:
    made = [Grant.of_record(RegistryPrefix.parse(registry), credential("a"))]
    assert docker_auths(made).keys() == docker
    assert kubelet_auths(made).keys() == kubelet
