"""The pages as an ASGI application: routes from the table, sessions, permissions, errors."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from pullpass.domain import access
from pullpass.domain.access import Action, Caller
from pullpass.domain.errors import Forbidden, NotFound, PullpassError, Unauthenticated
from pullpass.domain.identity import Principal
from pullpass.web import cookie, keeping
from pullpass.web.assets import Assets
from pullpass.web.compression import compress
from pullpass.web.page import Entry, Page
from pullpass.web.rendering import Renderer
from pullpass.web.routes import PAGES
from pullpass.web.visit import Visit, WebServices, read_form

# Nothing but what the server itself sends, and nothing inline.
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    # No narrower one: without a referrer, browsers send forms with the Origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_log = structlog.get_logger("pullpass.web")


def create_pages(
    services: WebServices,
) -> list[BaseRoute]:
    """Everything under `/ui`, over ``services``."""

    async def with_slash(_: Request) -> Response:
        return RedirectResponse("/ui/", 308)

    pages = Mount("/ui", _Pages(services).app())
    return [Route("/ui", with_slash), pages]


class _Pages:
    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._assets = Assets()
        self._renderer = Renderer(self._assets)

    def app(self) -> ASGIApp:
        by_path: dict[str, dict[str, Page]] = {}
        for page in PAGES:
            by_path.setdefault(page.path, {})[page.method] = page
        routes = [self._route(path, by_method) for path, by_method in by_path.items()]
        routes.append(Route("/static/{name}", self._assets.serve))
        handlers = {HTTPException: self._http_error, Exception: self._unexpected}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    def _route(self, path: str, by_method: Mapping[str, Page]) -> Route:
        async def endpoint(request: Request) -> Response:
            page = by_method["GET" if request.method == "HEAD" else request.method]
            request.state.operation = page.name
            visit = Visit(request, self._services, self._renderer, None, None)
            try:
                await self._read(page, visit)
                visit = await self._admit(page, visit)
                response = await page.handler(visit)
                if visit.kept:
                    keeping.drop(response, request)
            except Unauthenticated as error:
                refuse = self._refusal if page.is_stream else self._to_sign_in
                response = refuse(visit, error)
            except PullpassError as error:
                response = self._refusal(visit, error)
            compress(request, response)
            return _guarded(response)

        return Route(path, endpoint, methods=list(by_method))

    async def _read(self, page: Page, visit: Visit) -> None:
        if page.method == "POST":
            cookie.require_own_origin(visit.request)
            visit.form = await read_form(visit.request)

    async def _admit(self, page: Page, stranger: Visit) -> Visit:
        """The visit of whoever the session says that it is, with the form of ``stranger``."""
        request, form = stranger.request, stranger.form
        session = caller = None
        if page.access is not Entry.PUBLIC:
            session = await self._services.browser_sessions.resume(
                cookie.session_id(request) or "", stranger.origin
            )
            request.state.user = session.principal.user.id
            if page.method == "POST":
                cookie.require_form_key(session, form.get(cookie.KEY_FIELD, ""))
        # No id holds anything else, and PostgreSQL would not even take a NUL.
        if not all(part.isascii() and part.isprintable() for part in request.path_params.values()):
            raise NotFound("There is no such page.", code="path_not_found")
        if session is not None and not isinstance(page.access, Entry):
            organization = str(request.path_params["org"])
            actions = page.access if isinstance(page.access, tuple) else (page.access,)
            for action in actions:
                caller = await self._require(session.principal, organization, action)
        visit = Visit(request, self._services, self._renderer, session, caller)
        visit.form = form
        if session is not None and page.method == "GET":
            visit.kept = keeping.kept(request, self._services.kept_forms)
        return visit

    async def _require(self, principal: Principal, organization: str, action: Action) -> Caller:
        try:
            return access.require(principal, organization, action)
        except Forbidden as error:
            await self._services.audit.role_refused(principal, organization, action, error)
            raise

    def _refusal(self, visit: Visit, error: PullpassError) -> Response:
        status = self._services.status_of(error)
        visit.request.state.code = error.code
        if status >= 500:
            _log.error("failed", code=error.code, error=error.message)
        message = error.message if status < 500 or status in (502, 503) else _INTERNAL
        return visit.page("error.html", status, message=message, status=status)

    def _to_sign_in(self, visit: Visit, error: Unauthenticated) -> Response:
        """To the sign-in page, which comes back here. A form that was sent is not sent again, but
        what was typed stands in it then. The cookie stays, so that every tab is told why; the
        sign-in puts another in its place.
        """
        request = visit.request
        seen = request.url.components
        if request.method == "POST":
            seen = cookie.split(request.headers.get("referer", "/ui/"))
        here = f"{seen.path}?{seen.query}" if seen.query else seen.path
        query = f"next={quote(here, safe='/')}"
        if cookie.session_id(request) is not None:
            query += f"&ended={error.code}"
        response = RedirectResponse(f"/ui/sign-in?{query}", 303)
        if visit.form:
            keeping.keep(response, request, self._services.kept_forms, seen.path, visit.form)
        return response

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        visit = Visit(request, self._services, self._renderer, None, None)
        message = "There is no such page." if status == 404 else "This page takes no such request."
        return _guarded(visit.page("error.html", status, message=message, status=status))

    async def _unexpected(self, request: Request, error: Exception) -> Response:
        """The answer to what was not foreseen; the edge logs it."""
        visit = Visit(request, self._services, self._renderer, None, None)
        return _guarded(visit.page("error.html", 500, message=_INTERNAL, status=500))


_INTERNAL = (
    "Something went wrong on the server. It was logged with the X-Request-Id of this answer."
)


def _guarded(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response
