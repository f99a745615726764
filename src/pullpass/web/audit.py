"""The audit log: who did what, and who got which credential, when and from where."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.audit import AuditAction, AuditResult, Entry, Position, Wanted
from pullpass.web.page import Page
from pullpass.web.visit import Visit

_PAGE = 50
_EXPORTED_AT_ONCE = 1000
_LONGEST = 200
_FILTERS = ("action", "result", "registry_id", "user_id")
_POSITION = re.compile(r"([0-9T:.Z-]{24}) ([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is shown; ``document`` is the whole of it."""

    sequence: int
    at: datetime
    document: Mapping[str, object]

    def get(self, name: str) -> str:
        return str(self.document.get(name, ""))


async def list_entries(visit: Visit) -> Response:
    given = _given(visit)
    wanted = _wanted(given)
    found, rest = await visit.services.audit_log.page(
        visit.caller, wanted, before=_position(visit.query("before")), limit=_PAGE
    )
    query = {name: text for name, text in given.items() if text}
    more = None
    if rest is not None:
        before = f"{timestamp.render(rest.at)} {rest.sequence}"
        more = f"?{urlencode({**query, 'before': before})}"
    return visit.page(
        "audit.html",
        lines=lines_of(found),
        values=given,
        is_filtered=bool(query),
        actions=[("", "everything"), *((each.value, each.value) for each in AuditAction)],
        results=[("", "done or refused"), *((each.value, each.value) for each in AuditResult)],
        next_query=more,
        export_query=f"?{urlencode(query)}" if query else "",
    )


async def export(visit: Visit) -> Response:
    """The filtered log as JSON lines, the newest first, as it is read: it may be long."""
    name = f"audit-{visit.caller.organization}-{visit.services.clock():%Y-%m-%d}.jsonl"
    return StreamingResponse(
        _exported(visit, _wanted(_given(visit))),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        media_type="application/jsonl",
    )


async def _exported(visit: Visit, wanted: Wanted) -> AsyncIterator[str]:
    before: Position | None = None
    while True:
        found, before = await visit.services.audit_log.page(
            visit.caller, wanted, before=before, limit=_EXPORTED_AT_ONCE
        )
        if found:
            yield "".join(f"{entry.as_json()}\n" for entry in found)
        if before is None:
            return


async def recent_reads(visit: Visit, record_id: str, limit: int) -> Sequence[Line]:
    """Who got the credential of a record last, or was refused it."""
    wanted = Wanted(action=AuditAction.READ_CREDENTIAL, registry_id=record_id)
    found, _ = await visit.services.audit_log.page(visit.caller, wanted, before=None, limit=limit)
    return lines_of(found)


def lines_of(entries: Sequence[Entry]) -> list[Line]:
    found = []
    for entry in entries:
        document = json.loads(entry.document)
        found.append(Line(entry.sequence, timestamp.parse(document["at"]), document))
    return found


def _given(visit: Visit) -> dict[str, str]:
    return {name: visit.query(name).strip()[:_LONGEST] for name in _FILTERS}


def _wanted(given: Mapping[str, str]) -> Wanted:
    return Wanted(
        action=given["action"] or None,
        result=given["result"] or None,
        registry_id=given["registry_id"] or None,
        user_id=given["user_id"] or None,
    )


def _position(text: str) -> Position | None:
    """Where a page begins; what is no position is the beginning."""
    found = _POSITION.fullmatch(text)
    try:
        return None if found is None else Position(timestamp.parse(found[1]), int(found[2]))
    except ValueError:
        return None


_AUDIT = "/orgs/{org}/audit"

PAGES = (
    Page("GET", _AUDIT, Action.READ_AUDIT, list_entries, "webAudit"),
    Page("GET", f"{_AUDIT}/export", Action.READ_AUDIT, export, "webAuditExport"),
)
