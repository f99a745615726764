"""Registry records on the wire, with the reference document's names, fields and patterns."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.api.models.common import Timestamp
from pullpass.domain.probe import ProbeCode
from pullpass.domain.record import ID_LENGTH, ID_PATTERN
from pullpass.domain.record_types import RecordType

RegistryId = Annotated[
    str,
    Meta(
        pattern=ID_PATTERN,
        max_length=ID_LENGTH,
        description="Registry ID, unique within the organization, immutable.",
        examples=["acme-ghcr"],
    ),
]
RegistryName = Annotated[
    str,
    Meta(
        description='Registry name, usually in a "{domain}" or "{domain}/{project}" format.',
        examples=["ghcr.io/acme"],
    ),
]
RegistryTypeName = Annotated[
    str,
    Meta(
        description="Registry type: the registry's authentication method, and the schema of the "
        "credentials. Supported values: " + ", ".join(f"`{name}`" for name in RecordType) + ".",
        examples=["basic"],
    ),
]
Options = Annotated[
    dict[str, str],
    Meta(
        title="RegistryOptions",
        description="What the type needs beyond user name and password. Validated per type.",
    ),
]

CheckCode = Annotated[
    str,
    Meta(
        description="`ok`, or what went wrong.",
        extra_json_schema={"enum": [code.value for code in ProbeCode]},
    ),
]
CheckMessage = Annotated[str, Meta(description="For a person, in a sentence or two.")]


class ClusterSecretRequest(Struct, forbid_unknown_fields=True):
    """ClusterSecret represents a Kubernetes secret reference."""

    namespace: Annotated[str, Meta(description="Namespace to look for the secret in.")]
    secret: Annotated[str, Meta(description="Name that identifies the Kubernetes secret.")]


class ClusterSecretResponse(Struct):
    """ClusterSecret represents a Kubernetes secret reference."""

    namespace: Annotated[str, Meta(description="Namespace to look for the secret in.")]
    secret: Annotated[str, Meta(description="Name that identifies the Kubernetes secret.")]


ClusterSecretsMapRequest = Annotated[
    dict[str, ClusterSecretRequest],
    Meta(
        title="ClusterSecretsMapRequest",
        description="Kubernetes secret references by cluster name, or `*` for any cluster.",
    ),
]
ClusterSecretsMapResponse = Annotated[
    dict[str, ClusterSecretResponse],
    Meta(
        title="ClusterSecretsMapResponse",
        description="Kubernetes secret references by cluster name, or `*` for any cluster.",
    ),
]


class AccountCredsRequest(Struct, forbid_unknown_fields=True):
    """AccountCreds represents account credentials (either username- or token-based)."""

    username: Annotated[str, Meta(description="Security account login or token.")]
    password: Annotated[str, Meta(description="Account password or token secret.")]
    expires: Timestamp | UnsetType | None = UNSET


class RegistryRequest(Struct, forbid_unknown_fields=True):
    """A registry record as it is written. PATCH takes any part of it: absent fields stay,
    `null` clears.
    """

    id: RegistryId
    registry: RegistryName
    type: RegistryTypeName
    creds: AccountCredsRequest | UnsetType | None = UNSET
    secrets: ClusterSecretsMapRequest | UnsetType | None = UNSET
    enable_ci: (
        Annotated[bool, Meta(description="Whether CI may read the credentials. Defaults to false.")]
        | UnsetType
        | None
    ) = UNSET
    options: Options | UnsetType | None = UNSET
    created_at: (
        Annotated[str | None, Meta(description="Read-only: taken and ignored.")] | UnsetType
    ) = UNSET
    created_by: (
        Annotated[str | None, Meta(description="Read-only: taken and ignored.")] | UnsetType
    ) = UNSET
    status: (
        Annotated[dict[str, Any] | None, Meta(description="Read-only: taken and ignored.")]
        | UnsetType
    ) = UNSET


class RegistryStatusResponse(Struct):
    """What the last check of the record came to."""

    ok: bool
    code: CheckCode
    message: CheckMessage
    checked_at: Timestamp
    since: Annotated[
        Timestamp,
        Meta(description="When the first of the checks in a row was that came to the same."),
    ]


class RegistryResponse(Struct):
    """A registry record. It never holds credentials."""

    id: RegistryId
    registry: RegistryName
    type: RegistryTypeName
    enable_ci: Annotated[bool, Meta(description="Whether CI may read the credentials.")]
    secrets: ClusterSecretsMapResponse | UnsetType = UNSET
    options: Options | UnsetType = UNSET
    created_at: Timestamp | UnsetType = UNSET
    created_by: Annotated[str, Meta(description="Who created this record.")] | UnsetType = UNSET
    status: RegistryStatusResponse | UnsetType = UNSET


class RegistryCredsResponse(Struct):
    """Current registry credentials: username and password, secret references, or neither."""

    registry: RegistryName
    username: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    expires: Timestamp | UnsetType = UNSET
    secrets: ClusterSecretsMapResponse | UnsetType = UNSET


class CheckRequest(Struct, forbid_unknown_fields=True):
    """On what to have pull rights, if on anything: give one of them, or none."""

    repository: (
        Annotated[
            str,
            Meta(
                description="A repository of the record: its path within the registry.",
                examples=["acme/app"],
            ),
        ]
        | UnsetType
        | None
    ) = UNSET
    image: (
        Annotated[
            str,
            Meta(
                description="An image that the record matches, whole.",
                examples=["ghcr.io/acme/app:1.2"],
            ),
        ]
        | UnsetType
        | None
    ) = UNSET


class CheckStep(Struct):
    """One step of a check and the time that it took."""

    name: Annotated[str, Meta(examples=["login"])]
    ok: bool
    milliseconds: Annotated[int, Meta(ge=0)]
    message: str | UnsetType = UNSET


class CheckResponse(Struct):
    """Whether the record's credential works at the live registry, and what to do if not."""

    ok: bool
    code: CheckCode
    message: CheckMessage
    checked_at: Timestamp
    steps: list[CheckStep]
