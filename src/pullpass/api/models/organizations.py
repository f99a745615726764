"""Organizations, users and tokens on the wire, named as in the reference document."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.api.models.common import Timestamp
from pullpass.domain.identity import Role
from pullpass.domain.record import CLUSTER_PATTERN

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


Roles = Annotated[
    dict[str, str], Meta(title="RolesResponse", description="`/orgs/{orgId}` to the role there.")
]


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
    roles: Roles
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
    """Metadata about a token. `expires_at` is absent where the token does not expire; `subject`
    is whose identity token it was given for.
    """

    id: str
    type: str
    description: str
    created_at: Timestamp
    created_by: str
    user_id: str
    expires_at: Timestamp | UnsetType = UNSET
    subject: str | UnsetType = UNSET


class TokenResponse(Struct):
    """The token: shown this once."""

    token: str
    type: str
