"""The audit log of an organization."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.responses import Response

from pullpass.api.call import Call
from pullpass.api.models.audit import AuditLogEntry
from pullpass.api.operation import Operation, Query
from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.audit import AuditAction, AuditResult, Entry, Position, Wanted
from pullpass.domain.errors import FieldProblem, InvalidFields

_DEFAULT_PAGE = 50
_MAX_PAGE = 1000
_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_POSITION = re.compile(r"([0-9T:.Z-]{24}) ([0-9]{1,19})", re.ASCII)


async def list_audit_log_entries(call: Call) -> Response:
    problems: list[FieldProblem] = []
    wanted = Wanted(
        since=_moment(call, "from", problems),
        until=_moment(call, "to", problems),
        action=_choice(call, "action", AuditAction, problems),
        user_id=call.query("user_id"),
        registry_id=call.query("registry_id"),
        result=_choice(call, "result", AuditResult, problems),
    )
    after = _number(call, "after", 0, _LARGEST, problems)
    size = _number(call, "per_page", 1, _MAX_PAGE, problems) or _DEFAULT_PAGE
    before = _position(call, problems)
    if after is not None and (wanted != Wanted() or call.query("page") is not None):
        problems.append(
            FieldProblem("after", "is given besides other parameters", "at most per_page with it")
        )
    if problems:
        raise InvalidFields(problems)
    if after is not None:
        return await _in_order(call, after, size)
    found, rest = await call.services.audit_log.page(call.caller, wanted, before=before, limit=size)
    if rest is None:
        return _answer(found)
    query = dict(call.request.query_params) | {"per_page": str(size), "page": _token(rest)}
    return _answer(found, _next(call, query))


async def _in_order(call: Call, after: int, size: int) -> Response:
    found = await call.services.audit_log.after(call.caller, after, limit=size)
    if len(found) < size:
        return _answer(found)
    query = {"after": str(found[-1].sequence), "per_page": str(size)}
    return _answer(found, _next(call, query))


def _answer(entries: Sequence[Entry], link: str | None = None) -> Response:
    headers = {"Cache-Control": "no-store"}
    if link is not None:
        headers["Link"] = link
    body = "[" + ",".join(entry.as_json() for entry in entries) + "]"
    return Response(body, headers=headers, media_type="application/json")


def _next(call: Call, query: dict[str, str]) -> str:
    return f'<{call.request.url.path}?{urlencode(query)}>; rel="next"'


def _token(position: Position) -> str:
    text = f"{timestamp.render(position.at)} {position.sequence}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _position(call: Call, problems: list[FieldProblem]) -> Position | None:
    token = call.query("page")
    if token is None:
        return None
    try:
        found = _POSITION.fullmatch(base64.urlsafe_b64decode(token.encode()).decode())
        if found is not None and int(found[2]) <= _LARGEST:
            return Position(timestamp.parse(found[1]), int(found[2]))
    except (binascii.Error, ValueError):
        pass
    problems.append(FieldProblem("page", "is not a page token", "the token of a Link header"))
    return None


def _moment(call: Call, name: str, problems: list[FieldProblem]) -> datetime | None:
    text = call.query(name)
    if text is None:
        return None
    # RFC 3339 allows more than the wire's own timestamps, and so does the reference document.
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        problems.append(FieldProblem(name, f"is {text[:80]!a}", timestamp.EXPECTED))
        return None


def _number(
    call: Call, name: str, lowest: int, highest: int, problems: list[FieldProblem]
) -> int | None:
    text = call.query(name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) and lowest <= int(text) <= highest:
        return int(text)
    expected = f"a number from {lowest} to {highest}"
    problems.append(FieldProblem(name, f"is {text[:20]!a}", expected))
    return None


def _choice(
    call: Call,
    name: str,
    options: type[AuditAction] | type[AuditResult],
    problems: list[FieldProblem],
) -> str | None:
    text = call.query(name)
    if text is not None and text not in list(options):
        problems.append(FieldProblem(name, f"is {text[:80]!a}", "one of " + ", ".join(options)))
    return text


_TIME: dict[str, object] = {"type": "string", "format": "date-time"}

OPERATIONS = (
    Operation(
        "listAuditLogEntries",
        "GET",
        "/orgs/{orgId}/audit-logs",
        Action.READ_AUDIT,
        list_audit_log_entries,
        "AuditLogs",
        "List audit log entries by Organization",
        answer=list[AuditLogEntry],
        errors=(400, 401, 403, 404),
        query=(
            Query(
                "per_page",
                "So many entries a page, 50 without it.",
                {"type": "integer", "minimum": 1, "maximum": _MAX_PAGE},
            ),
            Query("page", "The page token of a `Link` header.", {"type": "string"}),
            Query("from", "Entries created at the given time or after it.", _TIME),
            Query("to", "Entries created before the given time.", _TIME),
            Query("action", "Entries of one action.", {"enum": list(AuditAction)}),
            Query("user_id", "What one user did.", {"type": "string"}),
            Query("registry_id", "What is about one registry record.", {"type": "string"}),
            Query("result", "What was done, or was refused.", {"enum": list(AuditResult)}),
            Query(
                "after",
                "Entries behind that number, oldest first: for an export that goes on later.",
                {"type": "integer", "minimum": 0, "maximum": _LARGEST},
            ),
        ),
        description="Entries from newest to oldest: every change, every credential that was "
        "handed out, every one that was refused. A page may hold fewer entries than asked for, "
        "even none: go on while there is a `Link` header.",
    ),
)
