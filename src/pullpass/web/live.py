"""Server-sent events: something that this page shows has changed (HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response, StreamingResponse

from pullpass.domain import access
from pullpass.domain.access import Action
from pullpass.domain.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    StoreUnavailable,
    Unauthenticated,
)
from pullpass.web.page import Page
from pullpass.web.visit import Visit

_LOOK_SECONDS = 0.25
# Many agents report, and each time the page is made anew.
_LOOK_AT_CLUSTERS_SECONDS = 1
# Below what proxies give an idle connection. The browser comes back by itself with the revision
# that it knows.
_LIFE_SECONDS = 50
_COME_BACK_MILLISECONDS = 500


async def events(visit: Visit) -> Response:
    """An event whenever records, or what checks come to, change. Its id is the revision."""
    live, organization = visit.services.live, visit.caller.organization
    return await _answer(
        visit, Action.READ_RECORDS, lambda: live.records(organization), _LOOK_SECONDS
    )


async def cluster_events(visit: Visit) -> Response:
    """An event whenever agents have reported, and each minute: one that is silent is no event."""
    services, organization = visit.services, visit.caller.organization

    def revision() -> str:
        return f"{services.live.clusters(organization)}.{services.clock():%H:%M}"

    return await _answer(visit, Action.READ_CLUSTERS, revision, _LOOK_AT_CLUSTERS_SECONDS)


async def _answer(
    visit: Visit, action: Action, revision: Callable[[], str], look_seconds: float
) -> Response:
    await visit.services.live.follow(visit.caller.organization)
    known = visit.request.headers.get("last-event-id", visit.query("since"))
    return StreamingResponse(
        _stream(visit, action, known, revision, look_seconds),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def _stream(
    visit: Visit, action: Action, known: str, revision: Callable[[], str], look_seconds: float
) -> AsyncIterator[str]:
    live, ends_at = visit.services.live, visit.session.expires_at
    identity = live.identity()
    yield f"retry: {_COME_BACK_MILLISECONDS}\n\n"
    for _ in range(int(_LIFE_SECONDS / look_seconds)):
        if live.over or visit.services.clock() >= ends_at:
            return
        if identity != live.identity():
            identity = live.identity()
            if not await _may_still(visit, action):
                return
        found = revision()
        if found != known:
            yield f"id: {found}\nevent: {'changed' if known else 'begin'}\ndata: {found}\n\n"
            known = found
        await asyncio.sleep(look_seconds)


async def _may_still(visit: Visit, action: Action) -> bool:
    """Whether the session is still there, and its user may still do so."""
    try:
        session = await visit.services.browser_sessions.resume(visit.session.id.reveal())
        access.require(session.principal, visit.caller.organization, action)
    except (Forbidden, NotFound, RateLimited, StoreUnavailable, Unauthenticated):
        return False
    return True


PAGES = (
    Page("GET", "/orgs/{org}/events", Action.READ_RECORDS, events, "webEvents", is_stream=True),
    Page(
        "GET",
        "/orgs/{org}/cluster-events",
        Action.READ_CLUSTERS,
        cluster_events,
        "webEvents",
        is_stream=True,
    ),
)
