"""What records are known by, and how those are found without a look at all the others."""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import JSON, ColumnElement, Text, and_, bindparam, cast, column, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.store.schema import records

# Each is a search of its own; and SQLite takes no expression that is 1000 deep.
_MOST_RANGES = 100


class KeyKind(StrEnum):
    """``WILDCARD``: what a prefix with a `*` has before the first one."""

    ID = "id"
    PREFIX = "prefix"
    WILDCARD = "wildcard"


class Key(NamedTuple):
    """What one or several records of an organization have."""

    kind: KeyKind
    text: str


async def conditions_for(
    connection: AsyncConnection, organization: str, keys: Collection[Key]
) -> list[ColumnElement[bool]]:
    """What holds for the records that have one of ``keys``; each is for a query by itself."""
    texts: dict[KeyKind, list[str]] = {kind: [] for kind in KeyKind}
    for key in keys:
        texts[key.kind].append(key.text)
    mine = records.c.organization_id == organization
    found = []
    # The organization stands in each part: SQLite would else search by nothing but that.
    exact = [
        and_(mine, known_by.in_(texts[kind]))
        for kind, known_by in ((KeyKind.ID, records.c.id), (KeyKind.PREFIX, records.c.prefix))
        if texts[kind]
    ]
    if exact:
        found.append(or_(*exact))
    ranges = [
        and_(mine, *_range(beginning))
        for beginning in await _there(connection, organization, texts[KeyKind.WILDCARD])
    ]
    for start in range(0, len(ranges), _MOST_RANGES):
        found.append(or_(*ranges[start : start + _MOST_RANGES]))
    return found


async def _there(
    connection: AsyncConnection, organization: str, beginnings: Collection[str]
) -> list[str]:
    """Those of ``beginnings`` behind which the prefix of some record has a `*`."""
    if not beginnings:
        return []
    text = bindparam("beginnings", json.dumps(list(beginnings)), type_=Text)
    if connection.dialect.name == "postgresql":
        array = func.json_array_elements_text(cast(text, JSON))
    else:
        array = func.json_each(text)
    beginning = array.table_valued(column("value", Text)).c.value
    # As a value, one is looked for after the other; a join, both databases begin at all records.
    first = (
        select(func.min(records.c.prefix))
        .where(records.c.organization_id == organization, *_range(beginning))
        .scalar_subquery()
    )
    found = await connection.execute(select(beginning).where(first.is_not(None)))
    return list(found.scalars())


def _range(beginning: str | ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # Prefixes are ASCII, in which '+' comes right after '*'.
    return records.c.prefix >= beginning + "*", records.c.prefix < beginning + "+"
