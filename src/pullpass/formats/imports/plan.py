"""What an import does with each credential: create a record, or not, and why."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeVar

from pullpass.domain.errors import InvalidRegistryPrefix
from pullpass.domain.prefix import RegistryPrefix
from pullpass.formats.imports.reading import Found, Skipped

# The shortest and the longest id that a record can have.
_SHORTEST, _LONGEST = 3, 100
_SUFFIX = 8


class Outcome(StrEnum):
    CREATE = "create"
    CREATED = "created"
    THERE = "there"
    CONFLICT = "conflict"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the plan, or of what came of it. ``found`` is what there is to create."""

    outcome: Outcome
    registry: str
    source: str
    id: str | None = None
    type: str | None = None
    why: str | None = None
    found: Found | None = None

    def now(self, outcome: Outcome, why: str | None = None) -> Row:
        return replace(self, outcome=outcome, why=why, found=None)


class Existing(Protocol):
    """A record that is there, as the server or its client knows it."""

    @property
    def id(self) -> str: ...
    @property
    def registry(self) -> str: ...
    @property
    def type(self) -> str: ...


_Record = TypeVar("_Record", bound=Existing)
# Whether a record's credential is the found one; None where that cannot be known.
Compare = Callable[[_Record, Found], bool | None]


def make_plan(
    entries: Iterable[Found | Skipped], records: Sequence[_Record], compare: Compare[_Record]
) -> list[Row]:
    """A row for each registry, in the order in which they were found; then what is skipped.

    ``records`` are those of the organization. Several entries for one registry are one row where
    they hold the same credential, and a conflict each where they do not.
    """
    by_registry: dict[str, list[Found]] = {}
    skipped = []
    for entry in entries:
        if isinstance(entry, Found):
            by_registry.setdefault(entry.registry, []).append(entry)
        else:
            skipped.append(Row(Outcome.SKIPPED, entry.key, entry.source, why=entry.why))
    there = {_normalized(record.registry): record for record in records}
    ids = {record.id for record in records}
    rows = []
    for registry, found in by_registry.items():
        rows += _rows(registry, found, there.get(registry), ids, compare)
    return rows + skipped


def record_id(registry: str, taken: set[str]) -> str:
    """An id made of the registry's host and path; always the same one, unless it is ``taken``."""
    readable = re.sub(r"[^a-z0-9]+", "-", registry.lower()).strip("-")
    if _SHORTEST <= len(readable) <= _LONGEST and readable not in taken:
        return readable
    digest = hashlib.sha256(registry.encode()).hexdigest()[:_SUFFIX]
    start = readable[: _LONGEST - _SUFFIX - 1].strip("-")
    return f"{start}-{digest}" if start else f"registry-{digest}"


def _rows(
    registry: str,
    found: list[Found],
    record: _Record | None,
    ids: set[str],
    compare: Compare[_Record],
) -> list[Row]:
    first = found[0]
    logins = {(each.type, each.username, each.password) for each in found}
    if len(logins) > 1:
        return [
            Row(
                Outcome.CONFLICT,
                registry,
                each.source,
                type=each.type,
                why=f"there are {len(logins)} credentials for this registry: import one of them",
            )
            for each in found
        ]
    row = Row(
        Outcome.CREATE,
        registry,
        ", ".join(dict.fromkeys(each.source for each in found)),
        type=first.type,
        found=first,
    )
    if record is None:
        made = record_id(registry, ids)
        ids.add(made)
        return [replace(row, id=made)]
    return [_beside(row, first, record, compare)]


def _beside(row: Row, found: Found, record: _Record, compare: Compare[_Record]) -> Row:
    """The row where a record stands for the registry already."""
    row = replace(row, id=record.id)
    if record.type != found.type:
        why = f"the record is of the type {record.type}"
        return row.now(Outcome.CONFLICT, why)
    match compare(record, found):
        case True:
            return row.now(Outcome.THERE)
        case False:
            return row.now(Outcome.CONFLICT, "the record has another credential")
    return row.now(Outcome.THERE, "the credentials were not compared")


def _normalized(registry: str) -> str:
    try:
        return str(RegistryPrefix.parse(registry))
    except InvalidRegistryPrefix:
        # Of a newer server, perhaps.
        return registry
