"""What operators ask: is it alive, is it ready, what does it count, how is it called."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from pullpass.api.call import Call, answer
from pullpass.api.metrics import CONTENT_TYPE
from pullpass.api.models.common import HealthResponse
from pullpass.api.operation import Entry, Operation
from pullpass.domain.errors import PullpassError


async def live(call: Call) -> Response:
    """The process answers. Says nothing of the database, so that an orchestrator does not
    restart every replica when the database is away.
    """
    return answer(HealthResponse("ok"))


async def ready(call: Call) -> Response:
    try:
        await call.services.health.check()
    except PullpassError as error:
        return answer(HealthResponse("unavailable", error.message), 503, {"Retry-After": "1"})
    return answer(HealthResponse("ok"))


async def metrics(call: Call) -> Response:
    return Response(call.services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


async def home(call: Call) -> Response:
    return RedirectResponse("/ui/", 302)


OPERATIONS = (
    Operation(
        "getHealthLive",
        "GET",
        "/health/live",
        Entry.PUBLIC,
        live,
        "Operations",
        "Whether the process answers.",
        answer=HealthResponse,
    ),
    Operation(
        "getHealthReady",
        "GET",
        "/health/ready",
        Entry.PUBLIC,
        ready,
        "Operations",
        "Whether this replica can do its work.",
        answer=HealthResponse,
    ),
)

# What answers no JSON, and so is not in the OpenAPI document.
PAGES = (
    Operation(
        "getMetrics",
        "GET",
        "/metrics",
        Entry.PUBLIC,
        metrics,
        "Operations",
        "Metrics in the Prometheus text format.",
    ),
    Operation("getHome", "GET", "/", Entry.PUBLIC, home, "Operations", "The start page."),
)
