"""The one table of pages: the router and the tests of who may see what read it."""

from __future__ import annotations

from pullpass.web import (
    audit,
    clusters,
    editing,
    images,
    importing,
    live,
    provider_sign_in,
    registries,
    sign_in,
    trust,
    users,
)
from pullpass.web.page import Page

PAGES: tuple[Page, ...] = (
    *sign_in.PAGES,
    *provider_sign_in.PAGES,
    *editing.PAGES,
    *importing.PAGES,
    *registries.PAGES,
    *images.PAGES,
    *users.PAGES,
    *trust.PAGES,
    *clusters.PAGES,
    *audit.PAGES,
    *live.PAGES,
)
