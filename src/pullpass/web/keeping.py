"""A form that was sent after its session had ended: its fields come back after the sign-in.

Only what is known to be no secret is kept, in a cookie for some minutes, and filled in again on
the page that the form was on, once. Nothing is sent by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from pullpass.broker.kept_forms import KEPT_FOR, KeptForms
from pullpass.web import cookie
from pullpass.web.image_scan import images_in

_NAME = "pullpass_form"
_OPTION = "options."
_IMAGES = "images"
# By name, so that a field which is new is not kept before somebody has thought about it.
_FIELDS = frozenset(
    {
        "audience",
        "claims",
        "cluster",
        "creds.expires",
        "creds.username",
        "days",
        "description",
        "email",
        "enable_ci",
        "id",
        "image",
        _IMAGES,
        "issuer",
        "minutes",
        "name",
        "registries",
        "registry",
        "role",
        "secrets",
        "type",
        "version",
    }
)


def may_be_kept(name: str) -> bool:
    return name in _FIELDS or name.startswith(_OPTION)


def keep(
    response: Response,
    request: Request,
    forms: KeptForms,
    path: str,
    fields: Mapping[str, str],
) -> None:
    """Have the browser keep what was typed into the form on the page at ``path``."""
    kept = {name: text for name, text in fields.items() if may_be_kept(name)}
    if _IMAGES in kept:
        # A manifest that was pasted may hold secrets beside its images.
        kept[_IMAGES] = "\n".join(images_in(kept[_IMAGES]))
    value = forms.pack(path, kept) if kept else None
    if value is not None:
        cookie.set_(response, request, _NAME, value, seconds=int(KEPT_FOR.total_seconds()))


def kept(request: Request, forms: KeptForms) -> Mapping[str, str]:
    """What is kept for the form on this very page."""
    value = cookie.get(request, _NAME)
    return forms.unpack(request.url.path, value) if value else {}


def drop(response: Response, request: Request) -> None:
    cookie.remove(response, request, _NAME)
