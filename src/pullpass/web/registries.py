"""The list of records, one record, its check, its credential, and its end."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from pullpass.broker.checks import Check
from pullpass.domain.access import Action
from pullpass.domain.errors import ExchangeFailed, Forbidden, InvalidFields, NotFound
from pullpass.domain.record import Health, Record, RecordFilter, is_id
from pullpass.web.audit import recent_reads
from pullpass.web.clusters import holders_of
from pullpass.web.history import chart_of
from pullpass.web.live import record_events
from pullpass.web.page import Page
from pullpass.web.paging import Tab
from pullpass.web.problems import shown
from pullpass.web.visit import Visit

_PAGE = 50
_READS = 5
_LONGEST_TEXT = 200
# Longer than any image reference: 253 and 255 characters, port, tag and digest.
_LONGEST_IMAGE = 1000


async def list_registries(visit: Visit) -> Response:
    text = visit.query("q").strip()[:_LONGEST_TEXT]
    health = visit.query("health")
    chosen = Health(health) if health in tuple(Health) else None
    wanted = RecordFilter(text, chosen)
    after = visit.query("after")
    services, caller = visit.services, visit.caller
    events = await record_events(visit)
    # One more than is shown tells whether there is a next page.
    found = await services.records.page(
        caller, after=after if is_id(after) else None, limit=_PAGE + 1, wanted=wanted
    )
    records = found[:_PAGE]
    counts = await services.records.count(caller, RecordFilter(text))
    total = sum(counts.values())
    more = {"q": text, "health": chosen or "", "after": records[-1].id if records else ""}
    return visit.page(
        "registries.html",
        events=events,
        records=records,
        lifetimes=await services.lifetimes.of(caller, records),
        total=total,
        healths=[
            Tab(label, count, _query(text, each), each is chosen, each is Health.FAILING)
            for each, label, count in (
                (None, "All", total),
                (Health.WORKING, "Working", counts[Health.WORKING]),
                (Health.FAILING, "Failing", counts[Health.FAILING]),
                (Health.UNCHECKED, "Not checked", counts[Health.UNCHECKED]),
            )
        ],
        text=text,
        health=chosen,
        next_query=f"?{urlencode(more)}" if len(found) > _PAGE else None,
        first_query=_query(text, chosen) if after else None,
    )


async def show_registry(visit: Visit) -> Response:
    return await record_page(visit, visit.path("id"))


async def check_registry(visit: Visit) -> Response:
    """The check, and the record's page with its steps. Sent again, it is another check."""
    record_id = visit.path("id")
    image = visit.form.get("image", "").strip()[:_LONGEST_IMAGE]
    try:
        check = await visit.services.checks.check(
            visit.caller, record_id, repository=None, image=image or None
        )
    except InvalidFields as error:
        problem = shown(error.problems[0])
        return await record_page(visit, record_id, image=image, problem=problem, status=400)
    return await record_page(visit, record_id, check=check, image=image)


async def record_page(
    visit: Visit,
    record_id: str,
    *,
    check: Check | None = None,
    image: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    events = await record_events(visit)
    record = await visit.services.records.get(visit.caller, record_id)
    lifetimes = await visit.services.lifetimes.of(visit.caller, [record])
    now = visit.services.clock()
    return visit.page(
        "record.html",
        status,
        events=events,
        record=record,
        author=await _author(visit, record),
        lifetime=lifetimes.get(record.id),
        chart=chart_of(await visit.services.checks.history(visit.caller, record.id), now),
        holders=await holders_of(visit, record.id) if visit.may(Action.READ_CLUSTERS) else [],
        reads=await recent_reads(visit, record.id, _READS) if visit.may(Action.READ_AUDIT) else [],
        check=check,
        image=image,
        problem=problem,
    )


async def ask_delete(visit: Visit) -> Response:
    record = await visit.services.records.get(visit.caller, visit.path("id"))
    return visit.page("delete.html", record=record, typed="", problem=None)


async def delete_registry(visit: Visit) -> Response:
    record = await visit.services.records.get(visit.caller, visit.path("id"))
    typed = visit.form.get("id", "").strip()
    if typed != record.id:
        problem = f"This is not the record's id. Type {record.id} to delete it."
        return visit.page("delete.html", 400, record=record, typed=typed, problem=problem)
    await visit.services.records.delete(visit.caller, record.id, None)
    return visit.go(f"{visit.home}/registries", "deleted")


async def ask_reveal(visit: Visit) -> Response:
    record = await visit.services.records.get(visit.caller, visit.path("id"))
    return visit.page("reveal.html", record=record, delivery=None, problem=None)


async def reveal(visit: Visit) -> Response:
    record = await visit.services.records.get(visit.caller, visit.path("id"))
    try:
        delivery = await visit.services.credentials.for_record(visit.caller, record.id, None)
    except (ExchangeFailed, Forbidden) as error:
        status = 403 if isinstance(error, Forbidden) else 502
        problem = error.message
        return visit.page("reveal.html", status, record=record, delivery=None, problem=problem)
    return visit.page("reveal.html", record=record, delivery=delivery, problem=None)


async def _author(visit: Visit, record: Record) -> str | None:
    """The name of who created the record, for those who may see users; else the id."""
    if record.created_by is None or not visit.may(Action.READ_USERS):
        return record.created_by
    try:
        user = await visit.services.identity.member(visit.caller, record.created_by)
    except NotFound:
        return record.created_by
    return user.name


def _query(text: str, health: Health | None) -> str:
    given = {"q": text, "health": health or ""}
    return f"?{urlencode({name: value for name, value in given.items() if value})}"


_REGISTRIES = "/orgs/{org}/registries"
_REGISTRY = f"{_REGISTRIES}/{{id}}"

PAGES = (
    Page("GET", _REGISTRIES, Action.READ_RECORDS, list_registries, "webRegistries"),
    Page("GET", _REGISTRY, Action.READ_RECORDS, show_registry, "webRegistry"),
    Page("POST", f"{_REGISTRY}/check", Action.CHECK_RECORDS, check_registry, "webCheck"),
    Page("GET", f"{_REGISTRY}/check", Action.READ_RECORDS, show_registry, "webRegistry"),
    Page("GET", f"{_REGISTRY}/delete", Action.WRITE_RECORDS, ask_delete, "webDelete"),
    Page("POST", f"{_REGISTRY}/delete", Action.WRITE_RECORDS, delete_registry, "webDelete"),
    Page("GET", f"{_REGISTRY}/credential", Action.READ_CREDENTIALS, ask_reveal, "webReveal"),
    Page("POST", f"{_REGISTRY}/credential", Action.READ_CREDENTIALS, reveal, "webReveal"),
)
