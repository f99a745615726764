"""The ASGI application: routes from the table, authentication, permissions, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from pullpass.api import errors, openapi, reference
from pullpass.api.call import Call, Services, bearer_token
from pullpass.api.edge import Edge
from pullpass.api.forwarded import Network
from pullpass.api.routes import OPERATIONS, PAGES, Entry, Operation
from pullpass.broker.origin import origin_of
from pullpass.domain import access
from pullpass.domain.errors import Forbidden, NotFound, PullpassError

_log = structlog.get_logger("pullpass.api")


def create_app(
    services: Services,
    pages: Sequence[BaseRoute] = (),
    trusted_proxies: Sequence[Network] = (),
    client_seconds: float = 30,
) -> ASGIApp:
    """The application over ``services``; it holds no state of its own. ``pages`` are the routes
    for browsers; ``trusted_proxies`` may say where a request comes from (`X-Forwarded-For`);
    ``client_seconds`` is how long a client may take for a body, or for a part of an answer.
    """
    document = openapi.document()
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS + PAGES:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes: list[BaseRoute] = [
        Route(path, _Endpoint(by_method, services), methods=list(by_method))
        for path, by_method in by_path.items()
    ]
    routes += [
        _fixed("/schema", reference.render(document).encode(), "text/html", reference.HEADERS),
        _fixed("/schema/openapi.json", msgspec.json.encode(document), "application/json"),
        *pages,
    ]
    return Edge(_Routes(routes), services.metrics, trusted_proxies, client_seconds)


class _Routes:
    """The router, whose own refusals are answered in the documented form. A Starlette application
    would do the same in two layers that every request pays for; what is not foreseen is the edge's.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Within an application, the router raises what it would else answer in plain text.
        scope["app"] = self
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            await _http_error(error)(scope, receive, send)


class _Endpoint:
    """What answers at one path, as an ASGI application of its own."""

    def __init__(self, by_method: Mapping[str, Operation], services: Services) -> None:
        self._by_method = by_method
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = self._by_method[method]
        request.state.operation = operation.id
        try:
            return await operation.handler(await _admit(operation, request, self._services))
        except PullpassError as error:
            request.state.code = error.code
            self._services.metrics.refused(error.code)
            if errors.status_of(error) >= 500:
                _log.error("failed", operation=operation.id, code=error.code, error=error.message)
            return operation.refuse(error)


async def _admit(operation: Operation, request: Request, services: Services) -> Call:
    if operation.access is Entry.PUBLIC:
        return Call(request, services, None, None)
    origin = origin_of(request.scope, operation.success)
    principal = await services.sessions.authenticate(bearer_token(request), origin)
    request.state.user = principal.user.id
    request.state.subject = principal.subject
    # No id holds anything else, and PostgreSQL would not even take a NUL.
    if not all(part.isascii() and part.isprintable() for part in request.path_params.values()):
        raise NotFound("There is nothing at this path.", code="path_not_found")
    if operation.access is Entry.SIGNED_IN:
        return Call(request, services, principal, None)
    organization = str(request.path_params["orgId"])
    try:
        caller = access.require(principal, organization, operation.access)
    except Forbidden as error:
        await services.audit.role_refused(principal, organization, operation.access, error)
        raise
    return Call(request, services, principal, caller)


def _fixed(
    path: str, content: bytes, media_type: str, headers: Mapping[str, str] | None = None
) -> Route:
    async def endpoint(request: Request) -> Response:
        request.state.operation = "schema"
        return Response(content, headers=headers, media_type=media_type)

    return Route(path, endpoint)


def _http_error(error: HTTPException) -> Response:
    """What the router itself refuses: an unknown path or method."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return errors.body(
            405, f"This path answers {allowed} only.", "method_not_allowed", None, error.headers
        )
    return errors.body(
        error.status_code,
        "There is nothing at this path. The API is described at /schema.",
        "path_not_found",
        None,
        error.headers,
    )
