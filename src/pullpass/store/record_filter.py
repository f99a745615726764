"""A filter on records, in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Exists, Select, and_, case, func, or_, select

from pullpass.domain.record import Health, RecordFilter
from pullpass.store.schema import checks, records

_LAST_CHECK = and_(
    checks.c.organization_id == records.c.organization_id,
    checks.c.record_id == records.c.id,
    checks.c.version == records.c.version,
)


def conditions(organization: str, wanted: RecordFilter) -> list[ColumnElement[bool]]:
    """What holds for the organization's records that are wanted."""
    found = [records.c.organization_id == organization]
    if wanted.text:
        text = wanted.text.lower()
        columns = (records.c.id, func.lower(records.c.registry), records.c.type)
        found.append(or_(*(column.contains(text, autoescape=True) for column in columns)))
    if wanted.health is Health.UNCHECKED:
        found.append(~_checked())
    elif wanted.health is not None:
        works = checks.c.ok.is_(wanted.health is Health.WORKING)
        found.append(_checked(works))
    return found


def _checked(*also: ColumnElement[bool]) -> Exists:
    # Correlated with the records alone: counting has the checks in its own FROM too.
    return select(checks.c.ok).where(_LAST_CHECK, *also).correlate(records).exists()


def counts(organization: str, wanted: RecordFilter) -> Select[*tuple[Any, ...]]:
    """A query for the number of wanted records of each health."""
    health = case(
        (checks.c.ok.is_(None), Health.UNCHECKED.value),
        (checks.c.ok, Health.WORKING.value),
        else_=Health.FAILING.value,
    ).label("health")
    return (
        select(health, func.count().label("number"))
        .select_from(records.outerjoin(checks, _LAST_CHECK))
        .where(*conditions(organization, wanted))
        .group_by(health)
    )
