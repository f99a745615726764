"""Signing in with the organization's OpenID provider: there and back."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from pullpass.broker.origin import origin_of
from pullpass.broker.sign_in import SignInService
from pullpass.domain.errors import NotFound, PullpassError
from pullpass.web import cookie
from pullpass.web.page import Entry, Page
from pullpass.web.sign_in_page import own_path, sign_in_page
from pullpass.web.visit import Visit


async def begin(visit: Visit) -> Response:
    """A link, not a form: `form-action` of the pages' policy would stop a form on its way to
    another site. Who is sent here by one only meets the own provider.
    """
    to = own_path(visit.query("next"))
    try:
        key, url = await _service(visit).begin()
    except PullpassError as error:
        return _failed(visit, to, error)
    response = RedirectResponse(url, 303)
    cookie.put_attempt(response, visit.request, key, to)
    return response


async def come_back(visit: Visit) -> Response:
    service = _service(visit)
    key, given = cookie.attempt(visit.request)
    to = own_path(given)
    query = visit.request.query_params
    try:
        session = await service.finish(
            dict(query), key, cookie.session_id(visit.request), origin_of(visit.request.scope, 303)
        )
    except PullpassError as error:
        response = _failed(visit, to, error)
    else:
        response = visit.go(to)
        cookie.put(response, visit.request, session)
    cookie.drop_attempt(response, visit.request)
    return response


async def sign_out_there(visit: Visit) -> Response:
    """To the provider, whose own session goes on after one here has ended."""
    try:
        url = await _service(visit).sign_out_url()
    except PullpassError as error:
        return _failed(visit, "/ui/", error)
    if url is None:
        raise NotFound("The provider has no page to sign out.", code="path_not_found")
    return RedirectResponse(url, 303)


def _failed(visit: Visit, to: str, error: PullpassError) -> Response:
    visit.request.state.code = error.code
    return sign_in_page(visit, to, visit.services.status_of(error), failure=error)


def _service(visit: Visit) -> SignInService:
    service = visit.services.sign_in
    if service is None:
        raise NotFound("There is no such page.", code="path_not_found")
    return service


PAGES = (
    Page("GET", "/sign-in/provider", Entry.PUBLIC, begin, "webSignInProvider"),
    Page("GET", "/sign-in/callback", Entry.PUBLIC, come_back, "webSignInCallback"),
    Page("GET", "/sign-in/provider/sign-out", Entry.PUBLIC, sign_out_there, "webSignOutProvider"),
)
