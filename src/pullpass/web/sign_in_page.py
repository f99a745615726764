"""The page where people sign in, by whichever way, and where they go on from there."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from pullpass.domain.errors import PullpassError, Unavailable
from pullpass.web.visit import Visit

# The notice after signing out here.
GOES_ON_THERE = "signed-out-here"


def sign_in_page(
    visit: Visit,
    to: str,
    status: int = 200,
    *,
    ended: str | None = None,
    problem: str | None = None,
    failure: PullpassError | None = None,
) -> Response:
    """``to`` is the page to go on to. ``ended`` says why a session is over, ``problem`` what is
    wrong with the token, ``failure`` why signing in with the provider came to nothing.
    """
    service = visit.services.sign_in
    where = f"next={quote(to, safe='/')}"
    return visit.page(
        "sign_in.html",
        status,
        next=to,
        ended=ended,
        problem=problem,
        failure=None if failure is None else failure.message,
        provider=None if service is None else service.provider.label,
        # In full: the cookie of an attempt must be of the host that the provider sends back to.
        begin=""
        if service is None
        else f"{service.provider.public_url}/ui/sign-in/provider?{where}",
        goes_on_there=visit.query("notice") == GOES_ON_THERE,
    )


async def goes_on_there(visit: Visit) -> bool:
    """Whether the provider's own session can be ended too, after one here."""
    service = visit.services.sign_in
    try:
        return service is not None and await service.sign_out_url() is not None
    except Unavailable:
        return False


def own_path(text: str) -> str:
    """``text`` where it is the path of a page; never another site's address."""
    is_own = text.startswith("/ui/") and text.isascii() and text.isprintable()
    return text if is_own and "\\" not in text and "//" not in text else "/ui/"
