"""The current user, organizations, their users, and tokens, by the reference document's paths."""

from __future__ import annotations

from msgspec import UNSET
from starlette.responses import Response

from pullpass.api.call import Call, answer
from pullpass.api.models.organizations import (
    LogoResponse,
    NewServiceUserRequest,
    OrganizationResponse,
    TokenDefinitionRequest,
    TokenInfoResponse,
    TokenResponse,
    UserProfileExtendedRequest,
    UserProfileExtendedResponse,
    UserRoleRequest,
    UserRoleResponse,
)
from pullpass.api.operation import Entry, Operation
from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.identity import Organization, TokenInfo, User


async def get_current_user(call: Call) -> Response:
    return answer(_profile(call.principal.user))


async def update_current_user(call: Call) -> Response:
    changed = await call.services.identity.change_profile(call.principal, await call.body())
    return answer(_profile(changed))


async def list_organizations(call: Call) -> Response:
    found = await call.services.identity.organizations(call.principal)
    return answer([_organization(organization) for organization in found])


async def get_organization(call: Call) -> Response:
    return answer(_organization(await call.services.identity.organization(call.caller)))


async def list_users(call: Call) -> Response:
    members = await call.services.identity.members(call.caller)
    return answer([_member(user, call.caller.organization) for user in members])


async def create_user(call: Call) -> Response:
    user = await call.services.identity.add_member(call.caller, await call.body())
    return answer(_member(user, call.caller.organization), 201)


async def get_user(call: Call) -> Response:
    user = await call.services.identity.member(call.caller, call.path("userId"))
    return answer(_member(user, call.caller.organization))


async def update_user(call: Call) -> Response:
    user = await call.services.identity.change_member(
        call.caller, call.path("userId"), await call.body()
    )
    return answer(_member(user, call.caller.organization))


async def delete_user(call: Call) -> Response:
    await call.services.identity.remove_member(call.caller, call.path("userId"))
    return Response(status_code=204)


async def list_tokens(call: Call) -> Response:
    found = await call.services.identity.tokens(call.principal, call.path("userId"))
    return answer([_token_info(info) for info in found])


async def create_token(call: Call) -> Response:
    secret = await call.services.identity.create_token(
        call.principal, call.path("userId"), await call.body()
    )
    return answer(TokenResponse(secret.reveal(), "static"))


async def get_token(call: Call) -> Response:
    info = await call.services.identity.token(
        call.principal, call.path("userId"), call.path("tokenId")
    )
    return answer(_token_info(info))


async def delete_token(call: Call) -> Response:
    await call.services.identity.delete_token(
        call.principal, call.path("userId"), call.path("tokenId")
    )
    return Response(status_code=204)


def _profile(user: User) -> UserProfileExtendedResponse:
    return UserProfileExtendedResponse(
        id=user.id,
        name=user.name,
        type=user.type,
        created_at=timestamp.render(user.created_at),
        properties={},
        roles={
            f"/orgs/{organization}": membership.role
            for organization, membership in sorted(user.memberships.items())
        },
        email=user.email or UNSET,
    )


def _organization(organization: Organization) -> OrganizationResponse:
    return OrganizationResponse(
        id=organization.id,
        name=organization.name,
        created_at=timestamp.render(organization.created_at),
        created_by=organization.created_by,
        trial_expires_at=None,
        logo=LogoResponse(),
    )


def _member(user: User, organization: str) -> UserRoleResponse:
    membership = user.memberships[organization]
    return UserRoleResponse(
        id=user.id,
        name=user.name,
        type=user.type,
        role=membership.role,
        created_at=timestamp.render(user.created_at),
        email=user.email or UNSET,
        cluster=membership.cluster or UNSET,
    )


def _token_info(info: TokenInfo) -> TokenInfoResponse:
    return TokenInfoResponse(
        id=info.id,
        type="static",
        description=info.description,
        created_at=timestamp.render(info.created_at),
        created_by=info.created_by,
        user_id=info.user_id,
        subject=info.subject or UNSET,
        expires_at=UNSET if info.expires_at is None else timestamp.render(info.expires_at),
    )


_USERS = "/orgs/{orgId}/users"
_USER = f"{_USERS}/{{userId}}"
_TOKENS = "/users/{userId}/tokens"
_TOKEN = f"{_TOKENS}/{{tokenId}}"

OPERATIONS = (
    Operation(
        "listOrganizations",
        "GET",
        "/orgs",
        Entry.SIGNED_IN,
        list_organizations,
        "Organization",
        "List active organizations the user has access to.",
        answer=list[OrganizationResponse],
        errors=(401,),
    ),
    Operation(
        "getOrganization",
        "GET",
        "/orgs/{orgId}",
        Action.READ_ORGANIZATION,
        get_organization,
        "Organization",
        "Get the specified organization.",
        answer=OrganizationResponse,
        errors=(401, 404),
    ),
    Operation(
        "listOrganizationUsers",
        "GET",
        _USERS,
        Action.READ_USERS,
        list_users,
        "User",
        "Lists the users of the organization with their roles.",
        answer=list[UserRoleResponse],
        errors=(401, 403, 404),
    ),
    Operation(
        "createOrganizationUser",
        "POST",
        _USERS,
        Action.WRITE_USERS,
        create_user,
        "User",
        "Adds a service user (or a person) to the organization.",
        success=201,
        answer=UserRoleResponse,
        body=NewServiceUserRequest,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Operation(
        "getOrganizationUser",
        "GET",
        _USER,
        Action.READ_USERS,
        get_user,
        "User",
        "A user of the organization.",
        answer=UserRoleResponse,
        errors=(401, 403, 404),
    ),
    Operation(
        "updateOrganizationUser",
        "PATCH",
        _USER,
        Action.WRITE_USERS,
        update_user,
        "User",
        "Gives a user another role in the organization.",
        answer=UserRoleResponse,
        body=UserRoleRequest,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Operation(
        "deleteOrganizationUser",
        "DELETE",
        _USER,
        Action.WRITE_USERS,
        delete_user,
        "User",
        "Removes a user from the organization. One that is in no other is deleted.",
        success=204,
        errors=(401, 403, 404, 409),
    ),
    Operation(
        "getCurrentUser",
        "GET",
        "/current-user",
        Entry.SIGNED_IN,
        get_current_user,
        "UserProfile",
        "Gets the extended profile of the current user.",
        answer=UserProfileExtendedResponse,
        errors=(401,),
    ),
    Operation(
        "updateCurrentUser",
        "PATCH",
        "/current-user",
        Entry.SIGNED_IN,
        update_current_user,
        "UserProfile",
        "Updates the extended profile of the current user.",
        answer=UserProfileExtendedResponse,
        body=UserProfileExtendedRequest,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Operation(
        "listUserTokens",
        "GET",
        _TOKENS,
        Entry.SIGNED_IN,
        list_tokens,
        "TokenInfo",
        "Lists tokens associated with a user.",
        answer=list[TokenInfoResponse],
        errors=(401, 403, 404),
    ),
    Operation(
        "createUserToken",
        "POST",
        _TOKENS,
        Entry.SIGNED_IN,
        create_token,
        "TokenInfo",
        "Creates a new static token for a user.",
        answer=TokenResponse,
        body=TokenDefinitionRequest,
        errors=(400, 401, 403, 404, 409, 413),
        description="The token is shown this once. It never outlives the token that the call "
        "was made with.",
    ),
    Operation(
        "getUserToken",
        "GET",
        _TOKEN,
        Entry.SIGNED_IN,
        get_token,
        "TokenInfo",
        "Gets a specific token associated with a user.",
        answer=TokenInfoResponse,
        errors=(401, 403, 404),
    ),
    Operation(
        "deleteUserToken",
        "DELETE",
        _TOKEN,
        Entry.SIGNED_IN,
        delete_token,
        "TokenInfo",
        "Deletes a specific token associated with a user.",
        success=204,
        errors=(401, 403, 404),
        description="It stops on every replica within a second.",
    ),
)
