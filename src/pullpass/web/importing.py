"""Importing credentials from a Docker config or pull secrets: paste, see the plan, confirm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from starlette.responses import Response

from pullpass.domain.access import Action
from pullpass.domain.errors import InvalidFields
from pullpass.formats.imports.plan import Outcome, Row
from pullpass.web.page import Page
from pullpass.web.problems import NO_PROBLEMS, Problems, problems_of
from pullpass.web.visit import Visit

# Hundreds of registries. The plan goes to the browser and back, within one form.
MAX_CONFIG = 256 * 1024

# What is said of each outcome, and the sign that it is shown in.
_SAID = {
    Outcome.CREATE: ("new", "good"),
    Outcome.CREATED: ("created", "good"),
    Outcome.THERE: ("there", ""),
    Outcome.CONFLICT: ("differs", "warn"),
    Outcome.SKIPPED: ("skipped", ""),
    Outcome.FAILED: ("failed", "bad"),
}


async def ask(visit: Visit) -> Response:
    return _ask_page(visit)


async def show_plan(visit: Visit) -> Response:
    text = visit.form.get("config", "")
    if not text.strip():
        return _ask_page(visit, Problems({"config": "Paste a Docker config or a pull secret."}))
    if len(text.encode()) > MAX_CONFIG:
        limit = f"This is larger than {MAX_CONFIG // 1024} KiB. Import it in parts."
        return _ask_page(visit, Problems({"config": limit}))
    imports = visit.services.imports
    try:
        rows = await imports.plan(visit.caller, text)
    except InvalidFields as error:
        return _ask_page(visit, problems_of(error))
    sealed = None
    if any(row.outcome is Outcome.CREATE for row in rows):
        sealed = await imports.seal(visit.caller, visit.session.form_key, rows)
    return _plan_page(visit, rows, sealed)


async def create(visit: Visit) -> Response:
    form = visit.form
    try:
        rows = await visit.services.imports.create(
            visit.caller,
            visit.session.form_key,
            form.get("plan", ""),
            enable_ci=form.get("enable_ci") == "on",
        )
    except InvalidFields as error:
        return _ask_page(visit, problems_of(error))
    return _plan_page(visit, rows, None, is_done=True)


def _ask_page(visit: Visit, problems: Problems = NO_PROBLEMS) -> Response:
    status = 200 if problems == NO_PROBLEMS else 400
    return visit.page("import.html", status, problems=problems)


def _plan_page(
    visit: Visit, rows: Sequence[Row], sealed: str | None, *, is_done: bool = False
) -> Response:
    return visit.page(
        "import_plan.html",
        rows=rows,
        counts=Counter(row.outcome for row in rows),
        said=_SAID,
        sealed=sealed,
        is_done=is_done,
    )


_IMPORT = "/orgs/{org}/import"
_CONFIRM = f"{_IMPORT}/confirm"

PAGES = (
    Page("GET", _IMPORT, Action.WRITE_RECORDS, ask, "webImport"),
    Page("POST", _IMPORT, Action.WRITE_RECORDS, show_plan, "webImport"),
    Page("GET", _CONFIRM, Action.WRITE_RECORDS, ask, "webImport"),
    Page("POST", _CONFIRM, Action.WRITE_RECORDS, create, "webImport"),
)
