"""Adding and changing a record: choose its kind, fill in its form, check before saving."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.responses import Response

from pullpass.broker.checks import Check
from pullpass.domain.access import Action
from pullpass.domain.draft import Draft
from pullpass.domain.errors import (
    BuiltinRecord,
    Conflict,
    FieldProblem,
    InvalidFields,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.web import record_form
from pullpass.web.kinds import BY_SLUG, KINDS, Kind, kind_of
from pullpass.web.page import Page
from pullpass.web.record_form import RecordForm
from pullpass.web.stale import Difference, differences
from pullpass.web.visit import Visit

_UNCHECKED = "save"
_LONGEST_IMAGE = 1000


async def choose_kind(visit: Visit) -> Response:
    return visit.page("kinds.html", kinds=KINDS)


async def new_record(visit: Visit) -> Response:
    kind = _kind(visit)
    return _form_page(visit, kind, None, record_form.blank(kind))


async def create_record(visit: Visit) -> Response:
    kind = _kind(visit)
    records, caller, form = visit.services.records, visit.caller, visit.form
    check = None
    try:
        fields, problems = record_form.read(form, kind, None)
        draft = await _with(problems, records.draft(caller, fields))
        check = await _check(visit, draft)
        if check is None or check.probe.ok:
            created = await records.create(caller, fields)
            return await _saved(visit, created, check, "created")
    except (InvalidInput, Conflict, Unavailable) as error:
        return _form_page(visit, kind, None, record_form.typed(form, error), status=400)
    return _form_page(visit, kind, None, RecordForm(_kept(visit)), check=check, status=422)


async def edit_record(visit: Visit) -> Response:
    record = await _own_record(visit)
    return _form_page(visit, kind_of(record), record, record_form.of_record(record))


async def change_record(visit: Visit) -> Response:
    records, caller, form = visit.services.records, visit.caller, visit.form
    record = await _own_record(visit)
    kind, expected = kind_of(record), frozenset({form.get("version", "")})
    check = None
    try:
        fields, problems = record_form.read(form, kind, record)
        draft = await _with(problems, records.draft_patch(caller, record.id, fields, expected))
        check = await _check(visit, draft)
        if check is None or check.probe.ok:
            changed = await records.patch(caller, record.id, fields, expected)
            return await _saved(visit, changed, check, "saved")
    except PreconditionFailed:
        shown = RecordForm(_kept(visit))
        differences = _differences(record, shown)
        return _form_page(visit, kind, record, shown, stale=differences, status=412)
    except (InvalidInput, Conflict, Unavailable) as error:
        return _form_page(visit, kind, record, record_form.typed(form, error), status=400)
    return _form_page(visit, kind, record, RecordForm(_kept(visit)), check=check, status=422)


async def _with(problems: list[FieldProblem], reading: Awaitable[Draft]) -> Draft:
    """The draft. Raises InvalidFields for ``problems`` and its own, all at once."""
    try:
        draft = await reading
    except InvalidFields as error:
        raise InvalidFields([*problems, *error.problems]) from None
    if problems:
        raise InvalidFields(problems)
    return draft


async def _check(visit: Visit, draft: Draft) -> Check | None:
    """What the registry says to the draft; None where nobody wants to know, or can."""
    if visit.form.get("then") == _UNCHECKED or draft.type is RecordType.SECRET_REF:
        return None
    image = visit.form.get("image", "").strip()[:_LONGEST_IMAGE] or None
    return await visit.services.checks.try_draft(draft, image=image)


async def _saved(visit: Visit, record: Record, check: Check | None, notice: str) -> Response:
    if check is not None:
        await visit.services.checks.keep(visit.caller, record, check)
        notice += "-works"
    return visit.go(f"{visit.home}/registries/{record.id}", notice)


async def _own_record(visit: Visit) -> Record:
    record = await visit.services.records.get(visit.caller, visit.path("id"))
    if record.builtin:
        raise BuiltinRecord(
            f"The record '{record.id}' is built in: it is declared in the server's "
            "configuration file and can only be changed there."
        )
    return record


def _form_page(
    visit: Visit,
    kind: Kind,
    record: Record | None,
    form: RecordForm,
    *,
    check: Check | None = None,
    stale: list[Difference] | None = None,
    status: int = 200,
) -> Response:
    return visit.page(
        "record_form.html",
        status,
        kind=kind,
        record=record,
        form=form,
        check=check,
        stale=stale,
        takes_secrets=kind.type is not RecordType.PUBLIC,
    )


def _kind(visit: Visit) -> Kind:
    kind = BY_SLUG.get(visit.path("kind"))
    if kind is None:
        raise NotFound("There is no such kind of registry.", code="path_not_found")
    return kind


def _kept(visit: Visit) -> dict[str, str]:
    return {name: value for name, value in visit.form.items() if name != record_form.SECRET}


def _differences(record: Record, mine: RecordForm) -> list[Difference]:
    """What stands in the record now and is not what was typed."""
    theirs = record_form.of_record(record).values
    names = sorted(theirs.keys() | {name for name in mine.values if name.startswith("options.")})
    labels = {name: _LABELS.get(name, name.removeprefix("options.")) for name in names}
    return differences(theirs, mine.values, labels)


_LABELS = {"registry": "Registry", "enable_ci": "Use in CI", "secrets": "Kubernetes secrets"}
_NEW = "/orgs/{org}/new-registry"
_EDIT = "/orgs/{org}/registries/{id}/edit"
_WRITE = (Action.WRITE_RECORDS, Action.CHECK_RECORDS)

PAGES = (
    Page("GET", _NEW, _WRITE, choose_kind, "webKinds"),
    Page("GET", f"{_NEW}/{{kind}}", _WRITE, new_record, "webCreate"),
    Page("POST", f"{_NEW}/{{kind}}", _WRITE, create_record, "webCreate"),
    Page("GET", _EDIT, _WRITE, edit_record, "webEdit"),
    Page("POST", _EDIT, _WRITE, change_record, "webEdit"),
)
