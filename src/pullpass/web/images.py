"""Which credential will this image get, and why?"""

from __future__ import annotations

from starlette.responses import Response

from pullpass.domain.access import Action
from pullpass.web.image_scan import MOST, images_in
from pullpass.web.page import Page
from pullpass.web.visit import Visit


async def look_up(visit: Visit) -> Response:
    """Asked by a form, or by a link to one image."""
    text = visit.form.get("images", visit.query("image"))
    images = images_in(text)
    problem = None
    if text.strip() and not images:
        problem = "There is no image in this. Paste image references, a manifest or a compose file."
    return visit.page(
        "images.html",
        text=text,
        problem=problem,
        most=MOST,
        found=await visit.services.credentials.match(visit.caller, images),
    )


_IMAGES = "/orgs/{org}/images"

PAGES = (
    Page("GET", _IMAGES, Action.READ_RECORDS, look_up, "webImages"),
    Page("POST", _IMAGES, Action.READ_RECORDS, look_up, "webImages"),
)
