"""What the server answers, as frozen values. Field names are those on the wire.

Times are aware UTC times. Types and roles are plain strings, since a newer server may have more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from pullpass.client.fields import Fields
from pullpass.client.secret import Secret


class SecretReferenceFields(TypedDict):
    namespace: str
    secret: str


class CredsFields(TypedDict, total=False):
    """``expires`` is an aware time; ``username`` and ``password`` are required."""

    username: str
    password: Secret | str
    expires: datetime | str | None


class RegistryFields(TypedDict, total=False):
    """A registry record as it is written: creating needs id, registry and type.

    In an update, what is absent stays and None clears.
    """

    id: str
    registry: str
    type: str
    enable_ci: bool
    creds: CredsFields | None
    secrets: Mapping[str, SecretReferenceFields] | None
    options: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A Kubernetes secret to copy: the namespace where it stands, and its name."""

    namespace: str
    secret: str

    @classmethod
    def read(cls, fields: Fields) -> SecretReference:
        return cls(fields.text("namespace"), fields.text("secret"))


@dataclass(frozen=True, slots=True)
class Status:
    """What the last check of a record came to; ``since``: when the first of the checks in a row
    was that came to the same, that it works or that it does not.
    """

    ok: bool
    code: str
    message: str
    checked_at: datetime | None = None
    since: datetime | None = None

    @classmethod
    def read(cls, fields: Fields) -> Status:
        return cls(
            fields.truth("ok"),
            fields.text("code"),
            fields.text("message"),
            fields.moment("checked_at"),
            fields.moment("since"),
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry record. ``etag`` names its version, where the answer was about one record;
    ``status`` is None where the record was not checked since it was written.
    """

    id: str
    registry: str
    type: str
    enable_ci: bool
    secrets: Mapping[str, SecretReference] | None = None
    options: Mapping[str, object] | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    status: Status | None = None
    etag: str | None = None

    @classmethod
    def read(cls, fields: Fields, etag: str | None = None) -> Registry:
        return cls(
            id=fields.text("id"),
            registry=fields.text("registry"),
            type=fields.text("type"),
            enable_ci=fields.truth("enable_ci"),
            secrets=fields.by_key("secrets", SecretReference.read),
            options=fields.raw("options"),
            created_at=fields.moment("created_at"),
            created_by=fields.optional_text("created_by"),
            status=Status.read(fields.child("status")) if "status" in fields else None,
            etag=etag,
        )


@dataclass(frozen=True, slots=True)
class Credentials:
    """A credential for ``registry``: username and password, or `secrets`, or neither (public).

    ``id`` and ``type`` name the record, where the question was about an image or a host.
    """

    registry: str
    username: str | None = None
    password: Secret | None = None
    expires: datetime | None = None
    secrets: Mapping[str, SecretReference] | None = None
    id: str | None = None
    type: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Credentials:
        password = fields.optional_text("password")
        return cls(
            registry=fields.text("registry"),
            username=fields.optional_text("username"),
            password=None if password is None else Secret(password),
            expires=fields.moment("expires"),
            secrets=fields.by_key("secrets", SecretReference.read),
            id=fields.optional_text("id"),
            type=fields.optional_text("type"),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that matches an image."""

    id: str
    registry: str
    type: str

    @classmethod
    def read(cls, fields: Fields) -> Candidate:
        return cls(fields.text("id"), fields.text("registry"), fields.text("type"))


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalized image reference."""

    domain: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Reference:
        return cls(
            fields.text("domain"),
            fields.text("repository"),
            fields.optional_text("tag"),
            fields.optional_text("digest"),
        )


@dataclass(frozen=True, slots=True)
class ImageMatch:
    """What one image matches: ``match``, less specific ``candidates`` in order, and why.

    Where the image is malformed, ``error`` says so and the rest is empty.
    """

    image: str
    reference: Reference | None = None
    match: Candidate | None = None
    candidates: tuple[Candidate, ...] = ()
    reason: str | None = None
    error: str | None = None
    code: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> ImageMatch:
        return cls(
            image=fields.text("image"),
            reference=Reference.read(fields.child("reference")) if "reference" in fields else None,
            match=Candidate.read(fields.child("match")) if "match" in fields else None,
            candidates=fields.each("candidates", Candidate.read),
            reason=fields.optional_text("reason"),
            error=fields.optional_text("error"),
            code=fields.optional_text("code"),
        )


@dataclass(frozen=True, slots=True)
class Matches:
    """One result per image, in order; then the images that match none, or are malformed."""

    results: tuple[ImageMatch, ...]
    unmatched: tuple[str, ...]
    malformed: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> Matches:
        return cls(
            fields.each("results", ImageMatch.read),
            fields.texts("unmatched"),
            fields.texts("malformed"),
        )

    @classmethod
    def joined(cls, parts: Iterable[Matches]) -> Matches:
        parts = tuple(parts)
        return cls(
            tuple(result for part in parts for result in part.results),
            tuple(image for part in parts for image in part.unmatched),
            tuple(image for part in parts for image in part.malformed),
        )


@dataclass(frozen=True, slots=True)
class CheckStep:
    name: str
    ok: bool
    milliseconds: float
    message: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> CheckStep:
        return cls(
            fields.text("name"),
            fields.truth("ok"),
            fields.number("milliseconds"),
            fields.optional_text("message"),
        )


@dataclass(frozen=True, slots=True)
class Check:
    """What the live registry said to a record's credential."""

    ok: bool
    code: str
    message: str
    checked_at: datetime | None = None
    steps: tuple[CheckStep, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Check:
        return cls(
            fields.truth("ok"),
            fields.text("code"),
            fields.text("message"),
            fields.moment("checked_at"),
            fields.each("steps", CheckStep.read),
        )
