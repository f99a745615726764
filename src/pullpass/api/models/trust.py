"""Trust rules and token exchange on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.api.models.common import Timestamp
from pullpass.api.models.organizations import ClusterName
from pullpass.domain.record import ID_LENGTH, ID_PATTERN
from pullpass.domain.trust import LONGEST_LIFETIME, ROLES, SHORTEST_LIFETIME

RuleId = Annotated[
    str,
    Meta(
        pattern=ID_PATTERN,
        max_length=ID_LENGTH,
        description="Rule ID, unique within the organization, immutable.",
        examples=["github-main"],
    ),
]
IssuerUrl = Annotated[
    str,
    Meta(
        description="The issuer, exactly as its tokens have it in `iss`.",
        examples=["https://token.actions.githubusercontent.com"],
    ),
]
Audience = Annotated[
    str,
    Meta(description="What tokens must have in `aud`. Defaults to `pullpass:{orgId}`."),
]
Pattern = Annotated[str, Meta(min_length=1, max_length=500)]
GrantedRole = Annotated[
    str,
    Meta(
        description="The role in the organization that a token stands for.",
        extra_json_schema={"enum": [role.value for role in ROLES]},
    ),
]
Registries = Annotated[
    list[str],
    Meta(
        description="Ids of the records (or patterns with `*`) whose credentials may be had. "
        "Absent: those that the role may have.",
        examples=[["ghcr", "team-*"]],
    ),
]
Lifetime = Annotated[
    int,
    Meta(
        description="How long the Pullpass token lives, in seconds. Defaults to 900.",
        ge=int(SHORTEST_LIFETIME.total_seconds()),
        le=int(LONGEST_LIFETIME.total_seconds()),
    ),
]
_CLAIMS = (
    "What the token's claims must be: for each name a pattern, or a list of which one must match. "
    "`*` stands for any characters but `/` and `:`, `**` for any."
)


class TrustRuleRequest(Struct, forbid_unknown_fields=True):
    """A trust rule as it is written. PATCH takes any part of it: absent fields stay, `null` is the
    default.
    """

    id: RuleId
    issuer: IssuerUrl
    claims: Annotated[
        dict[str, Pattern | list[Pattern]],
        Meta(description=_CLAIMS, examples=[{"repository": "acme/app", "ref": "refs/heads/main"}]),
    ]
    role: GrantedRole
    audience: Audience | UnsetType | None = UNSET
    cluster: ClusterName | UnsetType | None = UNSET
    registries: Registries | UnsetType | None = UNSET
    lifetime: Lifetime | UnsetType | None = UNSET
    user_id: (
        Annotated[str | None, Meta(description="Read-only: taken and ignored.")] | UnsetType
    ) = UNSET
    created_at: (
        Annotated[str | None, Meta(description="Read-only: taken and ignored.")] | UnsetType
    ) = UNSET
    created_by: (
        Annotated[str | None, Meta(description="Read-only: taken and ignored.")] | UnsetType
    ) = UNSET


class TrustRuleResponse(Struct):
    """A trust rule. `user_id` is the user that its tokens belong to."""

    id: RuleId
    issuer: IssuerUrl
    audience: Audience
    claims: Annotated[dict[str, list[str]], Meta(description=_CLAIMS)]
    role: GrantedRole
    lifetime: Lifetime
    user_id: str
    created_at: Timestamp
    created_by: str
    cluster: str | UnsetType = UNSET
    registries: Registries | UnsetType = UNSET


class TrustTestRequest(Struct, forbid_unknown_fields=True):
    """An identity token to be tried."""

    token: str


class TrustTestRule(Struct):
    """Whether the token comes under one rule, and why not."""

    id: RuleId
    matches: bool
    reason: str | UnsetType = UNSET


class TrustTestResponse(Struct):
    """The rule that the token comes under, or the problem with it; and what each rule says."""

    ok: bool
    rules: list[TrustTestRule]
    rule: RuleId | UnsetType = UNSET
    problem: str | UnsetType = UNSET


class TokenExchangeRequest(Struct):
    """RFC 8693 section 2.1. Parameters that are not named here are ignored, as RFC 6749 says."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token: Annotated[str, Meta(description="The identity token, a signed JWT.")]
    subject_token_type: Literal[
        "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"
    ]
    audience: Annotated[str, Meta(description="The organization's id.", examples=["acme"])]
    scope: (
        Annotated[
            str,
            Meta(
                description="The id of the trust rule to be used. Without it, the first by id that "
                "the token comes under."
            ),
        ]
        | UnsetType
    ) = UNSET
    requested_token_type: Literal["urn:ietf:params:oauth:token-type:access_token"] | UnsetType = (
        UNSET
    )


class TokenExchangeResponse(Struct):
    """RFC 8693 section 2.2.1; `scope` is the rule that was used."""

    access_token: str
    issued_token_type: Literal["urn:ietf:params:oauth:token-type:access_token"]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(description="Seconds.")]
    scope: str


class OAuthErrorResponse(Struct):
    """RFC 6749 section 5.2, with the code that all errors of this API have."""

    error: Annotated[str, Meta(examples=["invalid_grant"])]
    error_description: str
    code: str
