"""Many new registry records of an organization within one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pullpass.domain import timestamp
from pullpass.domain.audit import Event
from pullpass.domain.errors import Conflict
from pullpass.domain.record import Record
from pullpass.store.audit_extension import Log
from pullpass.store.changes import advance, list_changes, organization_feed
from pullpass.store.engine import in_chunks
from pullpass.store.record_addition import COLUMNS, Addition
from pullpass.store.record_rows import changeable
from pullpass.store.schema import milliseconds, records
from pullpass.store.users import require_organization

CHANGE_KIND = "record"

_OF_ORGANIZATION = select(records.c.id, records.c.prefix).where(
    records.c.organization_id == bindparam("organization")
)
_TAKEN = _OF_ORGANIZATION.where(records.c.id.in_(bindparam("ids", expanding=True))).union_all(
    _OF_ORGANIZATION.where(records.c.prefix.in_(bindparam("prefixes", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to create with its sealed credential, and what the audit log will say of it."""

    record: Record
    sealed: bytes | None = field(repr=False)
    event: Event | None = None


def addition(
    organization: str, items: Sequence[NewRecord], now: datetime, log: Log
) -> Addition | None:
    """All of them, for the driver to put in; None where two want the same."""
    ids = {item.record.id for item in items}
    prefixes = {item.record.prefix for item in items}
    if len(ids) < len(items) or len(prefixes) < len(items):
        return None
    rows = [_row(item, now) for item in items]
    feed = organization_feed(organization)
    return Addition(organization, feed, CHANGE_KIND, milliseconds(now), rows, log)


def added(items: Sequence[NewRecord], now: datetime, head: int) -> list[Record]:
    """The records as they are stored, the last of them at revision ``head``."""
    first = head - len(items) + 1
    return [_stored(item.record, version, now) for version, item in enumerate(items, first)]


async def create_records(
    connection: AsyncConnection, organization: str, items: Sequence[NewRecord], now: datetime
) -> list[Record | Conflict]:
    """What came of each, in their order; where all are conflicts, the caller rolls back.

    Raises:
        NotFound: there is no such organization.
    """
    feed = organization_feed(organization)
    # All get a revision first, since the feed's lock comes before anything is read.
    head = await advance(connection, feed, len(items))
    version = first = head - len(items) + 1
    await require_organization(connection, organization)
    ids, owners = await _taken(connection, organization, [item.record for item in items])
    outcomes: list[Record | Conflict] = []
    rows: list[dict[str, object]] = []
    subjects: list[str] = []
    for item in items:
        record, prefix = item.record, str(item.record.prefix)
        if record.id in ids:
            outcomes.append(_id_taken(record.id))
        elif prefix in owners:
            outcomes.append(prefix_taken(record, owners[prefix]))
        else:
            created = _stored(record, version, now)
            version += 1
            ids.add(created.id)
            owners[prefix] = created.id
            outcomes.append(created)
            subjects.append(created.id)
            rows.append(
                {
                    "organization_id": organization,
                    "id": created.id,
                    "created_at": created.created_at,
                    "created_by": created.created_by,
                    "version": created.version,
                    **changeable(created, item.sealed),
                }
            )
    if rows:
        if unused := len(items) - len(rows):
            await advance(connection, feed, -unused)
        await list_changes(connection, feed, first, CHANGE_KIND, subjects, now)
        await connection.execute(insert(records), rows)
    return outcomes


def _stored(record: Record, version: int, now: datetime) -> Record:
    created_at = timestamp.whole_milliseconds(record.created_at or now)
    return dataclasses.replace(record, version=version, created_at=created_at)


def _row(item: NewRecord, now: datetime) -> list[object]:
    record = item.record
    values = {
        "id": record.id,
        "created_at": milliseconds(record.created_at or now),
        "created_by": record.created_by,
        **changeable(record, item.sealed),
    }
    return [values[name] for name in COLUMNS]


def prefix_taken(record: Record, owner: str) -> Conflict:
    return Conflict(
        f"The registry record '{owner}' stands for '{record.prefix}' already.",
        code="registry_taken",
        details={"field": "registry", "registry_id": owner},
    )


def _id_taken(record_id: str) -> Conflict:
    return Conflict(
        f"There is a registry record with the id '{record_id}' already.",
        code="registry_id_taken",
        details={"field": "id", "registry_id": record_id},
    )


async def _taken(
    connection: AsyncConnection, organization: str, wanted: Sequence[Record]
) -> tuple[set[str], dict[str, str]]:
    """Which of the ids are there, and who has which of the prefixes."""
    ids: set[str] = set()
    owners: dict[str, str] = {}
    for chunk in in_chunks(wanted):
        parameters = {
            "organization": organization,
            "ids": _padded([each.id for each in chunk]),
            "prefixes": _padded([str(each.prefix) for each in chunk]),
        }
        for record_id, prefix in await connection.execute(_TAKEN, parameters):
            ids.add(record_id)
            owners[prefix] = record_id
    return ids, owners


def _padded(values: list[str]) -> list[str]:
    """The last value again and again, up to a power of two: of few lengths, so that a database
    has a prepared statement for most.
    """
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))
