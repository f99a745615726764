"""Signing in with a token, signing out, and choosing an organization."""

from __future__ import annotations

from starlette.responses import Response

from pullpass.domain.errors import Unauthenticated
from pullpass.web import cookie
from pullpass.web.page import Entry, Page
from pullpass.web.sign_in_page import GOES_ON_THERE, goes_on_there, own_path, sign_in_page
from pullpass.web.visit import Visit

_ENDED = {
    "session_ended": "Your session has ended. Sign in to go on where you were.",
    "expired_token": "The token that you signed in with has expired. Sign in with another one.",
    "invalid_token": "The token that you signed in with was revoked. Sign in with another one.",
}


async def ask_for_token(visit: Visit) -> Response:
    return sign_in_page(
        visit, own_path(visit.query("next")), ended=_ENDED.get(visit.query("ended"))
    )


async def sign_in(visit: Visit) -> Response:
    to = own_path(visit.form.get("next", ""))
    token = visit.form.get("token", "").strip()
    try:
        session = await visit.services.browser_sessions.begin(
            token, cookie.session_id(visit.request), visit.origin
        )
    except Unauthenticated as error:
        problem = error.message if token else "Paste your token here first."
        return sign_in_page(visit, to, 401, problem=problem)
    response = visit.go(to)
    cookie.put(response, visit.request, session)
    return response


async def sign_out(visit: Visit) -> Response:
    principal = visit.principal
    await visit.services.browser_sessions.end(visit.session.id.reveal())
    if principal.signed_in:
        # What the session stood for, and nobody else has.
        await visit.services.identity.delete_token(principal, principal.user.id, principal.token_id)
    there = principal.signed_in and await goes_on_there(visit)
    response = visit.go("/ui/sign-in", GOES_ON_THERE if there else "signed-out")
    cookie.drop(response, visit.request)
    return response


async def choose_organization(visit: Visit) -> Response:
    found = await visit.services.identity.organizations(visit.principal)
    if len(found) == 1:
        return visit.go(f"/ui/orgs/{found[0].id}/registries")
    return visit.page(
        "organizations.html",
        organizations=found,
        memberships=visit.principal.user.memberships,
    )


PAGES = (
    Page("GET", "/sign-in", Entry.PUBLIC, ask_for_token, "webSignIn"),
    Page("POST", "/sign-in", Entry.PUBLIC, sign_in, "webSignIn"),
    Page("POST", "/sign-out", Entry.SIGNED_IN, sign_out, "webSignOut"),
    Page("GET", "/", Entry.SIGNED_IN, choose_organization, "webHome"),
)
