"""Server-sent events: something that this page shows has changed (HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from pullpass.domain.access import Action
from pullpass.domain.errors import StoreUnavailable, Unauthenticated
from pullpass.web.page import Page
from pullpass.web.visit import Visit

_LOOK_SECONDS = 0.25
# Short: a server that stops waits for it, and one that starts gets its part. The browser comes
# back by itself with the revision that it knows.
_LIFE_SECONDS = 10
_COME_BACK_MILLISECONDS = 500


async def events(visit: Visit) -> Response:
    """An event whenever records, or what checks come to, change. Its id is the revision."""
    await visit.services.live.follow(visit.caller.organization)
    known = visit.request.headers.get("last-event-id", visit.query("since"))
    return StreamingResponse(
        _stream(visit, known),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def _stream(visit: Visit, known: str) -> AsyncIterator[str]:
    live, organization = visit.services.live, visit.caller.organization
    identity = live.identity()
    yield f"retry: {_COME_BACK_MILLISECONDS}\n\n"
    for _ in range(int(_LIFE_SECONDS / _LOOK_SECONDS)):
        revision = live.records(organization)
        if revision != known:
            yield f"id: {revision}\nevent: {'changed' if known else 'begin'}\ndata: {revision}\n\n"
            known = revision
        if identity != live.identity():
            identity = live.identity()
            if not await _may_still(visit):
                return
        await asyncio.sleep(_LOOK_SECONDS)


async def _may_still(visit: Visit) -> bool:
    """Whether the session, and its user's membership, are still there."""
    try:
        session = await visit.services.browser_sessions.resume(visit.session.id.reveal())
    except (Unauthenticated, StoreUnavailable):
        return False
    return visit.caller.organization in session.principal.user.memberships


PAGES = (Page("GET", "/orgs/{org}/events", Action.READ_RECORDS, events, "webEvents"),)
