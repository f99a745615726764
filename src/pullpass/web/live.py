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

Revision = Callable[[], str]


async def record_events(visit: Visit) -> str:
    """Where a page that shows records hears of every change from now on: to be asked for before
    what it shows is read.
    """
    return await _address(visit, "events", _of_records(visit))


async def cluster_events(visit: Visit) -> str:
    """As :func:`record_events`, for a page that shows clusters."""
    return await _address(visit, "cluster-events", _of_clusters(visit))


async def stream_record_events(visit: Visit) -> Response:
    """An event whenever records, or what checks come to, change. Its id is the revision."""
    return await _answer(visit, Action.READ_RECORDS, _of_records(visit), _LOOK_SECONDS)


async def stream_cluster_events(visit: Visit) -> Response:
    """An event whenever agents have reported, and each minute: one that is silent is no event."""
    return await _answer(
        visit, Action.READ_CLUSTERS, _of_clusters(visit), _LOOK_AT_CLUSTERS_SECONDS
    )


def _of_records(visit: Visit) -> Revision:
    live, organization = visit.services.live, visit.caller.organization
    return lambda: live.records(organization)


def _of_clusters(visit: Visit) -> Revision:
    services, organization = visit.services, visit.caller.organization
    return lambda: f"{services.live.clusters(organization)}.{services.clock():%H:%M}"


async def _address(visit: Visit, stream: str, revision: Revision) -> str:
    await visit.services.live.follow(visit.caller.organization)
    return f"{visit.home}/{stream}?since={revision()}"


async def _answer(
    visit: Visit, action: Action, revision: Revision, look_seconds: float
) -> Response:
    await visit.services.live.follow(visit.caller.organization)
    known = visit.request.headers.get("last-event-id", visit.query("since"))
    return StreamingResponse(
        _stream(visit, action, known, revision, look_seconds),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def _stream(
    visit: Visit, action: Action, known: str, revision: Revision, look_seconds: float
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
            yield f"id: {found}\nevent: changed\ndata: {found}\n\n"
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
    Page(
        "GET",
        "/orgs/{org}/events",
        Action.READ_RECORDS,
        stream_record_events,
        "webEvents",
        is_stream=True,
    ),
    Page(
        "GET",
        "/orgs/{org}/cluster-events",
        Action.READ_CLUSTERS,
        stream_cluster_events,
        "webEvents",
        is_stream=True,
    ),
)
