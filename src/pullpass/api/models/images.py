"""What is asked of images, and what is answered."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.api.models.registries import (
    RegistryCredsResponse,
    RegistryId,
    RegistryName,
    RegistryTypeName,
)


class ImageCredsResponse(RegistryCredsResponse, kw_only=True):
    """The credential for an image or a host, and the record that it is from."""

    id: RegistryId
    type: RegistryTypeName


class MatchRequest(Struct, forbid_unknown_fields=True):
    """Images to match."""

    images: Annotated[
        list[str],
        Meta(
            description="Image references as people write them.",
            max_length=10_000,
            examples=[["nginx", "ghcr.io/acme/app:1.2"]],
        ),
    ]


class MatchedRecord(Struct):
    """A record that matches."""

    id: RegistryId
    registry: RegistryName
    type: RegistryTypeName


class ImageReferenceResponse(Struct, omit_defaults=True):
    """An image reference, normalized as Docker does."""

    domain: str
    repository: str
    tag: str | None = None
    digest: str | None = None


class ImageMatch(Struct):
    """One image: its match and why, or the error where it is malformed."""

    image: str
    reference: ImageReferenceResponse | UnsetType = UNSET
    match: MatchedRecord | None = None
    candidates: Annotated[
        list[MatchedRecord], Meta(description="Less specific records, in order.")
    ] = []
    reason: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class MatchResponse(Struct):
    """Every image of the request in its order; those without a record are listed again."""

    results: list[ImageMatch]
    unmatched: list[str]
    malformed: list[str]
