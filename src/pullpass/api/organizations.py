"""The current user, organizations, their users, and tokens, by the reference document's paths."""

from __future__ import annotations

from msgspec import UNSET
from starlette.responses import Response

from pullpass.api.call import Call, answer
from pullpass.api.models import (
    LogoResponse,
    OrganizationResponse,
    TokenInfoResponse,
    TokenResponse,
    UserProfileExtendedResponse,
    UserRoleResponse,
)
from pullpass.domain import timestamp
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
        expires_at=UNSET if info.expires_at is None else timestamp.render(info.expires_at),
    )
