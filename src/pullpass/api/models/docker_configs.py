"""Docker configs on the wire: what is asked for, and the file that is answered."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

MOST_IMAGES = 1000


class Consumer(StrEnum):
    """Who will read it: container clients (and build tools), or kubelets."""

    DOCKER = "docker"
    KUBELET = "kubelet"


class DockerConfigRequest(Struct, forbid_unknown_fields=True):
    """For which images, and for whom."""

    images: Annotated[
        list[str],
        Meta(
            description="Image references as people write them.",
            max_length=MOST_IMAGES,
            examples=[["nginx", "ghcr.io/acme/app:1.2"]],
        ),
    ]
    consumer: Consumer | UnsetType | None = UNSET


class DockerConfigEntry(Struct):
    """The credential of one key; without `auth`, none is to be used."""

    auth: Annotated[str, Meta(description="Base64 of user name, colon, password.")] | UnsetType = (
        UNSET
    )


class DockerConfigResponse(Struct):
    """A Docker config, ready to be written to a file."""

    auths: dict[str, DockerConfigEntry]
