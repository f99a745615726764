"""The same filter in SQL and in Python says the same."""

from __future__ import annotations

import dataclasses

import pytest

from pullpass.domain.probe import ProbeCode, Status
from pullpass.domain.record import EVERY_RECORD, Health, Record, RecordFilter
from pullpass.domain.record_types import RecordType
from pullpass.store.checks import CheckStore
from pullpass.store.engine import Database
from pullpass.store.records import RecordStore
from tests.store.values import NOW, a_record

pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
async def stored(records: RecordStore, database: Database) -> list[Record]:
    """Records with their status: two that were checked, one whose check is of an old version."""
    checks, found = CheckStore(database), []
    results = {"works": ProbeCode.OK, "fails": ProbeCode.UNAUTHORIZED}
    made = [
        a_record("works", "GHCR.io/acme"),
        a_record("fails", "quay.io/a_b"),
        a_record("stale", "quay.io/other"),
        a_record("unseen", record_type=RecordType.PUBLIC),
    ]
    for record in made:
        created = await records.create("acme", record, None, now=NOW)
        code = results.get(record.id)
        status = None if code is None else Status(code, "…", NOW, NOW)
        if status is not None:
            await checks.save("acme", created.id, created.version, status)
        found.append(dataclasses.replace(created, status=status))
    await checks.save("acme", "stale", 0, Status(ProbeCode.OK, "…", NOW, NOW))
    # Another organization's records never count.
    await records.create("globex", a_record("works", "ghcr.io/acme"), None, now=NOW)
    return found


@pytest.mark.parametrize("health", [None, *Health])
@pytest.mark.parametrize("text", ["", "ACME", "quay", "%", "_", "\\", "public", "s", "nothing"])
async def test_a_filter_takes_the_same_in_sql_and_in_python(
    records: RecordStore, stored: list[Record], text: str, health: Health | None
) -> None:
    wanted = RecordFilter(text, health)
    page = await records.page("acme", after=None, limit=10, wanted=wanted)
    expected = sorted(record.id for record in stored if wanted.takes(record))
    assert [record.id for record in page] == expected
    assert sum((await records.count("acme", wanted)).values()) == len(expected)


async def test_records_are_counted_by_their_health(
    records: RecordStore, stored: list[Record]
) -> None:
    assert len(stored) == 4
    counts = await records.count("acme", EVERY_RECORD)
    assert counts == {Health.WORKING: 1, Health.FAILING: 1, Health.UNCHECKED: 2}
    assert await records.count("acme", RecordFilter("quay", Health.FAILING)) == {Health.FAILING: 1}
