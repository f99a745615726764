"""How a page is described: where it is, who may see it, what handles it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.responses import Response

from pullpass.domain.access import Action
from pullpass.web.visit import Visit

Handler = Callable[[Visit], Awaitable[Response]]


class Entry(StrEnum):
    """Access without an organization: anybody, or anybody who is signed in."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"


@dataclass(frozen=True, slots=True)
class Page:
    """``access`` is an Entry, or what the role of a member of the organization must allow: all
    of it where there are several. ``is_stream`` is for what a page's script reads and nobody looks
    at: there, whoever is not signed in gets a status and not the sign-in page.
    """

    method: str
    path: str
    access: Entry | Action | tuple[Action, ...]
    handler: Handler
    name: str
    is_stream: bool = False
