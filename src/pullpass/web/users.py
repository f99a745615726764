"""Access: who is in the organization, in which role, and with which tokens."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from pullpass.domain import timestamp
from pullpass.domain.access import PERMISSIONS, Action
from pullpass.domain.credential import Secret
from pullpass.domain.errors import Conflict, Forbidden, InvalidFields
from pullpass.domain.identity import Role, TokenInfo, User, UserType
from pullpass.web.page import Page
from pullpass.web.problems import NO_PROBLEMS, Problems, problems_of
from pullpass.web.visit import Visit

# What each role is for; what it may do stands in the one permission table.
ROLES = {
    Role.ADMIN: "Everything, users and tokens included.",
    Role.EDITOR: "Writes and checks records; never reads a credential.",
    Role.READER: "Sees records, and no credential.",
    Role.PULLER: "Gets the credential of any record.",
    Role.CI: "Gets the credentials of records that are open to CI.",
    Role.CLUSTER: "Gets credentials, and the secret references of one cluster.",
}
_LIVES = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}


async def list_users(visit: Visit) -> Response:
    return await _users_page(visit)


async def add_user(visit: Visit) -> Response:
    form = visit.form
    names = ("name", "email", "role", "type", "cluster")
    body = {name: form.get(name, "").strip() for name in names}
    if body["role"] != Role.CLUSTER:
        body["cluster"] = ""
    given = {name: value for name, value in body.items() if value}
    try:
        user = await visit.services.identity.add_member(visit.caller, given)
    except (InvalidFields, Conflict) as error:
        return await _users_page(visit, body, problems_of(error), 400)
    return visit.go(f"{visit.home}/users/{user.id}", "user-created")


async def show_user(visit: Visit) -> Response:
    return await _user_page(visit)


async def change_role(visit: Visit) -> Response:
    form = visit.form
    body = {"role": form.get("role", "")}
    if body["role"] == Role.CLUSTER and form.get("cluster", "").strip():
        body["cluster"] = form["cluster"].strip()
    user_id = visit.path("user")
    try:
        await visit.services.identity.change_member(visit.caller, user_id, body)
    except (InvalidFields, Conflict) as error:
        return await _user_page(visit, role=body, role_problems=problems_of(error), status=400)
    return visit.go(f"{visit.home}/users/{user_id}", "user-changed")


async def remove_user(visit: Visit) -> Response:
    try:
        await visit.services.identity.remove_member(visit.caller, visit.path("user"))
    except Conflict as error:
        return await _user_page(visit, removal_problem=error.message, status=409)
    return visit.go(f"{visit.home}/users", "user-removed")


async def add_token(visit: Visit) -> Response:
    """The page that shows the new token; it is not shown again."""
    secret, values, problems = await _new_token(visit, visit.path("user"))
    if secret is None:
        return await _user_page(visit, token=values, token_problems=problems, status=400)
    back = f"{visit.home}/users/{visit.path('user')}"
    return visit.page("new_token.html", secret=secret, token_id=values["id"], back=back)


async def revoke_token(visit: Visit) -> Response:
    user_id, token_id = visit.path("user"), visit.path("token")
    await visit.services.identity.delete_token(visit.principal, user_id, token_id)
    return visit.go(f"{visit.home}/users/{user_id}", "token-revoked")


async def own_account(visit: Visit) -> Response:
    return await _account_page(visit)


async def add_own_token(visit: Visit) -> Response:
    secret, values, problems = await _new_token(visit, visit.principal.user.id)
    if secret is None:
        return await _account_page(visit, values, problems, 400)
    return visit.page(
        "new_token.html", secret=secret, token_id=values["id"], back=f"{visit.home}/account"
    )


async def revoke_own_token(visit: Visit) -> Response:
    user_id = visit.principal.user.id
    await visit.services.identity.delete_token(visit.principal, user_id, visit.path("token"))
    return visit.go(f"{visit.home}/account", "token-revoked")


async def _new_token(visit: Visit, user_id: str) -> tuple[Secret | None, dict[str, str], Problems]:
    """The token, or what was typed and what is wrong with it."""
    form = visit.form
    values = {name: form.get(name, "").strip() for name in ("id", "description", "days")}
    body: dict[str, object] = {"id": values["id"] or None, "type": "static"}
    if values["description"]:
        body["description"] = values["description"]
    limit = visit.principal.limit_for(user_id)
    ends_at = None
    if values["days"] in _LIVES and values["days"]:
        ends_at = visit.services.clock() + timedelta(days=int(values["days"]))
    if limit is not None:
        # A token never outlives the one that it is made with.
        ends_at = limit if ends_at is None else min(ends_at, limit)
    if ends_at is not None:
        body["expires_at"] = timestamp.render(ends_at)
    try:
        secret = await visit.services.identity.create_token(visit.principal, user_id, body)
    except (InvalidFields, Conflict) as error:
        return None, values, problems_of(error)
    return secret, values, NO_PROBLEMS


async def _users_page(
    visit: Visit,
    values: dict[str, str] | None = None,
    problems: Problems = NO_PROBLEMS,
    status: int = 200,
) -> Response:
    return visit.page(
        "users.html",
        status,
        members=await visit.services.identity.members(visit.caller),
        roles=ROLES,
        actions=tuple(Action),
        permissions=PERMISSIONS,
        types=UserType,
        values=values or {},
        problems=problems,
    )


async def _user_page(
    visit: Visit,
    *,
    role: dict[str, str] | None = None,
    role_problems: Problems = NO_PROBLEMS,
    token: dict[str, str] | None = None,
    token_problems: Problems = NO_PROBLEMS,
    removal_problem: str | None = None,
    status: int = 200,
) -> Response:
    user = await visit.services.identity.member(visit.caller, visit.path("user"))
    tokens, refusal = await _tokens(visit, user)
    membership = user.memberships[visit.caller.organization]
    return visit.page(
        "user.html",
        status,
        member=user,
        membership=membership,
        tokens_list=tokens,
        refusal=refusal,
        roles=ROLES,
        lives=_LIVES,
        role_values=role or {"role": membership.role, "cluster": membership.cluster or ""},
        role_problems=role_problems,
        token_values=token or {"days": "90"},
        token_problems=token_problems,
        removal_problem=removal_problem,
    )


async def _account_page(
    visit: Visit,
    values: dict[str, str] | None = None,
    problems: Problems = NO_PROBLEMS,
    status: int = 200,
) -> Response:
    tokens, refusal = await _tokens(visit, visit.principal.user)
    return visit.page(
        "account.html",
        status,
        tokens_list=tokens,
        refusal=refusal,
        current=visit.principal.token_id,
        session=visit.session,
        lives=_LIVES,
        token_values=values or {"days": "90"},
        token_problems=problems,
    )


async def _tokens(visit: Visit, user: User) -> tuple[list[TokenInfo], str | None]:
    """The user's tokens, or why this caller may not manage them."""
    try:
        return await visit.services.identity.tokens(visit.principal, user.id), None
    except Forbidden as error:
        return [], error.message


_USERS = "/orgs/{org}/users"
_USER = f"{_USERS}/{{user}}"
_ACCOUNT = "/orgs/{org}/account"
_MANAGE = (Action.READ_USERS, Action.WRITE_USERS)

PAGES = (
    Page("GET", _USERS, Action.READ_USERS, list_users, "webUsers"),
    Page("POST", _USERS, _MANAGE, add_user, "webAddUser"),
    Page("GET", _USER, Action.READ_USERS, show_user, "webUser"),
    # Where a form that was wrong is shown again: its address works as a page, too.
    Page("GET", f"{_USER}/role", Action.READ_USERS, show_user, "webUser"),
    Page("GET", f"{_USER}/remove", Action.READ_USERS, show_user, "webUser"),
    Page("GET", f"{_USER}/tokens", Action.READ_USERS, show_user, "webUser"),
    Page("GET", f"{_ACCOUNT}/tokens", Action.READ_ORGANIZATION, own_account, "webAccount"),
    Page("POST", f"{_USER}/role", _MANAGE, change_role, "webChangeRole"),
    Page("POST", f"{_USER}/remove", _MANAGE, remove_user, "webRemoveUser"),
    Page("POST", f"{_USER}/tokens", _MANAGE, add_token, "webAddToken"),
    Page("POST", f"{_USER}/tokens/{{token}}/revoke", _MANAGE, revoke_token, "webRevokeToken"),
    Page("GET", _ACCOUNT, Action.READ_ORGANIZATION, own_account, "webAccount"),
    Page("POST", f"{_ACCOUNT}/tokens", Action.READ_ORGANIZATION, add_own_token, "webAddToken"),
    Page(
        "POST",
        f"{_ACCOUNT}/tokens/{{token}}/revoke",
        Action.READ_ORGANIZATION,
        revoke_own_token,
        "webRevokeToken",
    ),
)
