"""The cookies that hold a browser's session and its sign-in, and where a form may come from."""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from pullpass.broker.browser_sessions import BrowserSession
from pullpass.domain.credential import Secret
from pullpass.domain.errors import Forbidden

_SESSION = "pullpass_session"
KEY_FIELD = "form_key"
_PATH = "/ui"
_ATTEMPT = "pullpass_sign_in"
_ATTEMPT_PATH = "/ui/sign-in"
# Long enough for a second factor that has to be fetched from somewhere.
_ATTEMPT_SECONDS = 600
# What has this prefix, browsers take from this very host alone, over TLS and for all of it: no
# other site of a shared domain can set it (RFC 6265bis section 4.1.3.2).
_OWN = "__Host-"


def get(request: Request, name: str) -> str | None:
    return request.cookies.get(_named(request, name))


def set_(
    response: Response,
    request: Request,
    name: str,
    value: str,
    *,
    expires: datetime | None = None,
    seconds: int | None = None,
    path: str = _PATH,
) -> None:
    """Lax, so that a link from a chat into a page works, and a provider's answer; every form has a
    key of its own.
    """
    secure = is_secure(request)
    response.set_cookie(
        _named(request, name),
        value,
        max_age=seconds,
        expires=expires,
        path="/" if secure else path,
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def remove(response: Response, request: Request, name: str, *, path: str = _PATH) -> None:
    secure = is_secure(request)
    response.delete_cookie(
        _named(request, name),
        path="/" if secure else path,
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def session_id(request: Request) -> str | None:
    return get(request, _SESSION)


def put(response: Response, request: Request, session: BrowserSession) -> None:
    set_(response, request, _SESSION, session.id.reveal(), expires=session.expires_at)


def drop(response: Response, request: Request) -> None:
    remove(response, request, _SESSION)


def put_attempt(response: Response, request: Request, key: Secret, to: str) -> None:
    """What binds the answer of the provider to this browser, and the page to go on to."""
    value = f"{key.reveal()}.{base64.urlsafe_b64encode(to.encode()).decode()}"
    set_(response, request, _ATTEMPT, value, seconds=_ATTEMPT_SECONDS, path=_ATTEMPT_PATH)


def attempt(request: Request) -> tuple[Secret | None, str]:
    """The key that this browser has for the provider's answer, and the page to go on to."""
    key, _, to = (get(request, _ATTEMPT) or "").partition(".")
    try:
        page = base64.urlsafe_b64decode(to).decode()
    except ValueError:
        page = ""
    return Secret(key) if key else None, page


def drop_attempt(response: Response, request: Request) -> None:
    remove(response, request, _ATTEMPT, path=_ATTEMPT_PATH)


def require_own_origin(request: Request) -> None:
    """Refuse a form that another site's page sent.

    Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/) is the browser's own word, whatever
    proxies do to the host's name; a browser that does not send it (one without TLS, mostly) sends
    Origin (https://fetch.spec.whatwg.org/#origin-header).

    Raises:
        Forbidden: `foreign_form`.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
        raise _foreign()
    origin = request.headers.get("origin")
    if origin is not None and split(origin).netloc != request.headers.get("host"):
        raise _foreign()


def split(url: str) -> SplitResult:
    """The parts of a URL that a browser, or whoever says to be one, has sent: empty ones where it
    is none.
    """
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def require_form_key(session: BrowserSession, given: str) -> None:
    """Refuse a form that no page of this session has made.

    Raises:
        Forbidden: `foreign_form`.
    """
    try:
        key = _unmasked(bytes.fromhex(given))
    except ValueError:
        raise _foreign() from None
    if not hmac.compare_digest(bytes.fromhex(session.form_key), key):
        raise _foreign()


def masked(form_key: str) -> str:
    """The form key as it stands in a page, never twice the same: see ``compression``."""
    key = bytes.fromhex(form_key)
    mask = secrets.token_bytes(len(key))
    return (mask + _xor(mask, key)).hex()


def _unmasked(given: bytes) -> bytes:
    half = len(given) // 2
    return _xor(given[:half], given[half:])


def _xor(one: bytes, other: bytes) -> bytes:
    """Raises ValueError where they are not of the same length."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def is_secure(request: Request) -> bool:
    """A proxy's word is enough here: who lies about it only loses the cookie."""
    forwarded = request.headers.get("x-forwarded-proto", "")
    return request.url.scheme == "https" or forwarded.split(",")[0].strip() == "https"


def _named(request: Request, name: str) -> str:
    return f"{_OWN}{name}" if is_secure(request) else name


def _foreign() -> Forbidden:
    return Forbidden(
        "The form did not come from this page, or the page is older than your session. "
        "Open the page anew and send the form again.",
        code="foreign_form",
    )
