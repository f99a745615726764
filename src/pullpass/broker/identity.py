"""Organizations, users and their tokens."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime

from pullpass.broker.audit import Auditor, on_the_server
from pullpass.broker.clock import Clock
from pullpass.broker.fields import Fields
from pullpass.broker.identity_fields import read_expiry, read_membership
from pullpass.broker.sessions import Sessions
from pullpass.domain import access, timestamp
from pullpass.domain import token as token_format
from pullpass.domain.access import Caller
from pullpass.domain.audit import AuditAction
from pullpass.domain.credential import Secret
from pullpass.domain.errors import Forbidden, NotFound
from pullpass.domain.identity import (
    ORGANIZATION_ID,
    ORGANIZATION_ID_LENGTH,
    Membership,
    Organization,
    Principal,
    Role,
    TokenInfo,
    User,
    UserType,
)
from pullpass.store.audit import Recording
from pullpass.store.identity import IdentityStore

_TOKEN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
_TOKEN_TYPE = "static"  # noqa: S105
_READ_ONLY_PROFILE = ("id", "created_at", "type", "roles", "properties")


class IdentityService:
    """Users belong to organizations by a membership; tokens belong to users.

    ``invites_by_email``: whoever proves to have a user's e-mail address becomes that user.
    """

    def __init__(
        self,
        identity: IdentityStore,
        sessions: Sessions | None,
        audit: Auditor,
        clock: Clock,
        *,
        invites_by_email: bool = False,
    ) -> None:
        self._invites_by_email = invites_by_email
        self._audit = audit
        self._identity = identity
        self._sessions = sessions
        self._clock = clock

    # Organizations

    async def organizations(self, principal: Principal) -> list[Organization]:
        return await self._identity.organizations(tuple(principal.user.memberships))

    async def organization(self, caller: Caller) -> Organization:
        found = await self._identity.organization(caller.organization)
        if found is None:
            raise access.organization_not_found(caller.organization)
        return found

    async def found_organization(
        self, organization_id: str, name: str, admin: User | None
    ) -> tuple[User, Secret]:
        """A new organization with its first administrator (a new one where ``admin`` is None)
        and a first token for it.

        Raises:
            InvalidFields: the id is not one.
            Conflict: there is such an organization already.
        """
        fields = Fields({"org": organization_id, "name": name})
        fields.text(
            "org",
            ORGANIZATION_ID,
            "2 to 50 lower-case letters, digits and single hyphens",
            longest=ORGANIZATION_ID_LENGTH,
        )
        fields.text("name", None, "1 to 200 characters", longest=200)
        fields.done()
        now = self._clock()
        user = admin or User(str(uuid.uuid4()), "admin", UserType.USER, now)
        founder = on_the_server(user)
        await self._identity.create_organization(
            Organization(organization_id, name, now, user.id),
            user,
            now=now,
            audit=self._audit.change(
                founder, [organization_id], AuditAction.CREATE_ORGANIZATION, subject_id=user.id
            ),
        )
        return user, await self._issue(
            founder, user, f"init-{organization_id}", "First token", now, also_in=organization_id
        )

    async def recover_admin(self, organization_id: str) -> tuple[User, Secret]:
        """A new token for an administrator of the organization, for who holds the machine.

        Raises:
            NotFound: there is no such organization.
        """
        members = await self._identity.members(organization_id)
        admins = [user for user in members if user.memberships[organization_id].role is Role.ADMIN]
        if not admins:
            raise NotFound(
                f"There is no organization '{organization_id}'.", code="organization_not_found"
            )
        now = self._clock()
        token_id = f"recovered-{now:%Y%m%d-%H%M%S-%f}"
        admin = admins[0]
        return admin, await self._issue(
            on_the_server(admin), admin, token_id, "Made on the server", now
        )

    # Users of an organization

    async def members(self, caller: Caller) -> list[User]:
        return await self._identity.members(caller.organization)

    async def member(self, caller: Caller, user_id: str) -> User:
        """Raises NotFound where the organization has no such user."""
        user = await self._identity.user(user_id)
        if user is None or caller.organization not in user.memberships:
            raise _user_not_found(user_id)
        return user

    async def add_member(self, caller: Caller, body: Mapping[str, object]) -> User:
        """A new user with a role in the caller's organization.

        Raises:
            InvalidFields: lists every invalid field.
            Conflict: another user has the e-mail address.
        """
        fields = Fields(body, known=("name", "email", "role", "cluster", "type"))
        name = fields.text("name", None, "1 to 200 characters", longest=200)
        email = fields.optional_text("email", _EMAIL, "an e-mail address")
        kind = fields.choice("type", UserType, (UserType.SERVICE, UserType.USER), "service")
        membership = read_membership(fields)
        fields.done()
        user = User(
            str(uuid.uuid4()),
            name,
            UserType(kind),
            self._clock(),
            email,
            {caller.organization: membership},
        )
        await self._identity.add_user(
            user,
            now=user.created_at,
            audit=self._change(caller, AuditAction.CREATE_USER, user.id, membership),
        )
        return user

    async def change_member(self, caller: Caller, user_id: str, body: Mapping[str, object]) -> User:
        """The user with another role in the caller's organization.

        Raises:
            InvalidFields, NotFound: as their names say.
            Forbidden: it is the user behind a trust rule.
            Conflict: the organization would be left without an administrator.
        """
        fields = Fields(body, known=("role", "cluster"))
        membership = read_membership(fields)
        fields.done()
        access.require_own_making(await self.member(caller, user_id))
        user = await self._identity.set_membership(
            user_id,
            caller.organization,
            membership,
            now=self._clock(),
            audit=self._change(caller, AuditAction.UPDATE_USER, user_id, membership),
        )
        if user is None:
            raise _user_not_found(user_id)
        await self._refresh()
        return user

    async def remove_member(self, caller: Caller, user_id: str) -> None:
        """Take the user out of the organization; one that is in no other is deleted, tokens
        included.

        Raises:
            NotFound: the organization has no such user.
            Forbidden: it is the user behind a trust rule.
            Conflict: the organization would be left without an administrator.
        """
        access.require_own_making(await self.member(caller, user_id))
        removed = await self._identity.remove_member(
            user_id,
            caller.organization,
            now=self._clock(),
            audit=self._change(caller, AuditAction.DELETE_USER, user_id, None),
        )
        if not removed:
            raise _user_not_found(user_id)
        await self._refresh()

    # The current user

    async def change_profile(self, principal: Principal, body: Mapping[str, object]) -> User:
        """The caller's own user with another name or e-mail address.

        Raises:
            InvalidFields: lists every invalid field.
            Forbidden: it is the user behind a trust rule.
            Conflict: another user has the e-mail address.
        """
        access.require_own_making(principal.user)
        fields = Fields(body, known=("name", "email"), ignored=_READ_ONLY_PROFILE)
        if body.get("properties"):
            fields.problem("properties", "cannot be stored", "an empty object, or none")
        user = principal.user
        name, email = user.name, user.email
        if "name" in body:
            name = fields.text("name", None, "1 to 200 characters", longest=200)
        if "email" in body:
            email = fields.optional_text("email", _EMAIL, "an e-mail address")
            if self._invites_by_email and email != user.email:
                # Else a member could lay claim to the sign-in of somebody who is yet to come.
                fields.problem(
                    "email",
                    "is what people sign in by here, and was set by an administrator",
                    "the one that it is",
                )
        fields.done()
        changed = await self._identity.update_profile(
            user.id,
            name=name,
            email=email,
            now=self._clock(),
            audit=self._audit.change(
                principal,
                user.memberships,
                AuditAction.UPDATE_USER,
                subject_id=user.id,
                details={"fields": ", ".join(sorted({"name", "email"} & body.keys()))},
            ),
        )
        if changed is None:
            raise _user_not_found(user.id)
        await self._refresh()
        return changed

    # Tokens

    async def tokens(self, principal: Principal, user_id: str) -> list[TokenInfo]:
        """Raises NotFound or Forbidden where the caller may not manage this user's tokens."""
        await self._token_owner(principal, user_id)
        return await self._identity.tokens(user_id)

    async def token(self, principal: Principal, user_id: str, token_id: str) -> TokenInfo:
        """Raises NotFound where there is no such token; else as :meth:`tokens`."""
        await self._token_owner(principal, user_id)
        info = await self._identity.token(user_id, token_id)
        if info is None:
            raise _token_not_found(token_id)
        return info

    async def create_token(
        self, principal: Principal, user_id: str, body: Mapping[str, object]
    ) -> Secret:
        """A new token, shown this once.

        A token never outlives the one that it was created with, so that a stolen short-lived
        token cannot be turned into a lasting one; and a service user's own token creates none.

        Raises:
            InvalidFields, NotFound, Forbidden: as their names say.
            Unauthenticated: the caller's own token is being revoked.
            Conflict: the user has a token with this id, or other memberships from now on.
        """
        owner = await self._token_owner(principal, user_id)
        access.require_own_making(owner)
        fields = Fields(body, known=("id", "type", "description", "expires_at"))
        token_id = fields.text(
            "id", _TOKEN_ID, "1 to 63 letters, digits, '.', '_' and '-'", longest=63
        )
        if body.get("type") != _TOKEN_TYPE:
            fields.problem("type", "is not a type of token", f"'{_TOKEN_TYPE}'")
        description = fields.optional_text("description", None, "up to 500 characters", 500) or ""
        now = self._clock()
        expires_at = read_expiry(fields, now, principal.limit_for(owner.id))
        fields.done()
        return await self._issue(
            principal, owner, token_id, description, now, expires_at, by=principal
        )

    async def delete_token(self, principal: Principal, user_id: str, token_id: str) -> None:
        """Revoke a token: it stops on every replica within a second. Raises as :meth:`token`."""
        owner = await self._token_owner(principal, user_id)
        if not await self._identity.delete_token(
            user_id,
            token_id,
            now=self._clock(),
            audit=self._audit.change(
                principal,
                owner.memberships,
                AuditAction.DELETE_TOKEN,
                subject_id=owner.id,
                details={"token": token_id},
            ),
        ):
            raise _token_not_found(token_id)
        await self._refresh()

    async def _token_owner(self, principal: Principal, user_id: str) -> User:
        owner = await self._identity.user(user_id)
        known = owner is not None and (
            owner.id == principal.user.id or access.shares_organization(principal.user, owner)
        )
        if owner is None or not known:
            raise _user_not_found(user_id)
        if not access.may_manage_tokens(principal.user, owner):
            raise Forbidden(
                "Tokens of a user are managed by an administrator of every organization that "
                "the user is in; a person also manages their own.",
                code="not_your_tokens",
            )
        return owner

    async def _issue(
        self,
        principal: Principal,
        owner: User,
        token_id: str,
        description: str,
        now: datetime,
        expires_at: datetime | None = None,
        *,
        also_in: str | None = None,
        by: Principal | None = None,
    ) -> Secret:
        """``also_in``: an organization that ``owner`` has just become a member of; ``by``: who has
        to have a token still, and saw ``owner`` as they are.
        """
        secret = token_format.generate()
        info = TokenInfo(owner.id, token_id, description, now, principal.user.id, expires_at)
        organizations = {*owner.memberships, *([also_in] if also_in else [])}
        details = {"token": token_id}
        if expires_at is not None:
            details["expires"] = timestamp.render(expires_at)
        await self._identity.create_token(
            info,
            token_format.digest(secret.reveal()),
            now=now,
            seen=None if by is None else owner,
            by=by,
            audit=self._audit.change(
                principal,
                organizations,
                AuditAction.CREATE_TOKEN,
                subject_id=owner.id,
                details=details,
            ),
        )
        return secret

    def _change(
        self, caller: Caller, action: AuditAction, user_id: str, membership: Membership | None
    ) -> Recording:
        details = {}
        if membership is not None:
            details["role"] = membership.role.value
            if membership.cluster is not None:
                details["cluster"] = membership.cluster
        return self._audit.change(
            caller.principal, [caller.organization], action, subject_id=user_id, details=details
        )

    async def _refresh(self) -> None:
        if self._sessions is not None:
            await self._sessions.refresh()


def _user_not_found(user_id: str) -> NotFound:
    return NotFound(
        f"There is no user with the id '{user_id[:64]}' that you can manage.", code="user_not_found"
    )


def _token_not_found(token_id: str) -> NotFound:
    return NotFound(f"The user has no token '{token_id[:64]}'.", code="token_not_found")
