"""What stands on the wire, for writing answers and for the OpenAPI document.

The schemas that the reference document has keep their names, fields and patterns.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.domain import timestamp
from pullpass.domain.identity import Role
from pullpass.domain.probe import ProbeCode
from pullpass.domain.record import CLUSTER_PATTERN, ID_LENGTH, ID_PATTERN
from pullpass.domain.record_types import RecordType

Timestamp = Annotated[
    str,
    Meta(
        pattern=timestamp.PATTERN,
        description="UTC time in simplified extended ISO format.",
        examples=["2020-06-22T09:37:23.523Z"],
    ),
]
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
UserName = Annotated[str, Meta(min_length=1, max_length=200)]
Email = Annotated[str, Meta(description="An e-mail address, unique among users.", min_length=3)]
RoleName = Annotated[
    str,
    Meta(
        description="The role in the organization.",
        extra_json_schema={"enum": [role.value for role in Role]},
    ),
]
ClusterName = Annotated[
    str, Meta(description="The cluster, for the role `cluster`.", pattern=CLUSTER_PATTERN)
]
Options = Annotated[
    dict[str, str],
    Meta(description="What the type needs beyond user name and password. Validated per type."),
]


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
    Meta(description="Kubernetes secret references by cluster name, or `*` for any cluster."),
]
ClusterSecretsMapResponse = Annotated[
    dict[str, ClusterSecretResponse],
    Meta(description="Kubernetes secret references by cluster name, or `*` for any cluster."),
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


class RegistryCredsResponse(Struct):
    """Current registry credentials: username and password, secret references, or neither."""

    registry: RegistryName
    username: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    expires: Timestamp | UnsetType = UNSET
    secrets: ClusterSecretsMapResponse | UnsetType = UNSET


class ImageCredsResponse(RegistryCredsResponse, kw_only=True):
    """The credential for an image or a host, and the record that it is from."""

    id: RegistryId
    type: RegistryTypeName


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
    code: Annotated[
        str,
        Meta(
            description="`ok`, or what went wrong.",
            extra_json_schema={"enum": [code.value for code in ProbeCode]},
        ),
    ]
    message: Annotated[str, Meta(description="For a person, in a sentence or two.")]
    checked_at: Timestamp
    steps: list[CheckStep]


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


class LogoResponse(Struct):
    """Organization logo details."""

    dark_url: str | UnsetType = UNSET
    light_url: str | UnsetType = UNSET


class OrganizationResponse(Struct):
    """An organization: all records and users belong to one."""

    id: str
    name: str
    created_at: Timestamp
    created_by: str
    trial_expires_at: Timestamp | None
    logo: LogoResponse


class UserProfileExtendedResponse(Struct):
    """The profile of the current user; `roles` maps `/orgs/{orgId}` to a role."""

    id: str
    name: str
    type: str
    created_at: Timestamp
    properties: dict[str, str]
    roles: dict[str, str]
    email: str | UnsetType = UNSET


class UserProfileExtendedRequest(Struct):
    """What a user can change of their own profile; other fields are read-only."""

    name: UserName | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET


class NewServiceUserRequest(Struct, forbid_unknown_fields=True):
    """A user to be added to the organization: a program (`service`, the default) or a person."""

    name: UserName
    role: RoleName
    type: Literal["service", "user"] | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    cluster: ClusterName | UnsetType | None = UNSET


class UserRoleRequest(Struct, forbid_unknown_fields=True):
    """A user's role in the organization."""

    role: RoleName
    cluster: ClusterName | UnsetType | None = UNSET


class UserRoleResponse(Struct):
    """A user and its role in the organization."""

    id: str
    name: str
    type: str
    role: str
    created_at: Timestamp
    email: str | UnsetType = UNSET
    cluster: str | UnsetType = UNSET


class TokenDefinitionRequest(Struct, forbid_unknown_fields=True):
    """Defines the token to be created."""

    id: Annotated[
        str,
        Meta(
            description="Identifier of the token, unique for the user.",
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        ),
    ]
    type: Literal["static"]
    description: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET
    expires_at: Timestamp | UnsetType | None = UNSET


class TokenInfoResponse(Struct):
    """Metadata about a token. `expires_at` is absent where the token does not expire."""

    id: str
    type: str
    description: str
    created_at: Timestamp
    created_by: str
    user_id: str
    expires_at: Timestamp | UnsetType = UNSET


class TokenResponse(Struct):
    """The token: shown this once."""

    token: str
    type: str


class HealthResponse(Struct, omit_defaults=True):
    """Whether the server works, and what is wrong where it does not."""

    status: str
    problem: str | None = None


class ErrorInfoResponse(Struct):
    """An error: a sentence a person can act on, a stable code, details for programs."""

    error: str
    code: str
    details: dict[str, Any] | UnsetType = UNSET
