from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pullpass.domain.probe import ProbeCode, Status
from pullpass.store.checks import RUNS_KEPT, CheckStore
from pullpass.store.engine import Database
from pullpass.store.records import RecordStore
from tests.store.values import NOW, a_record

pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
def checks(database: Database) -> CheckStore:
    return CheckStore(database)


def a_status(minutes: int, code: ProbeCode = ProbeCode.OK) -> Status:
    moment = NOW + timedelta(minutes=minutes)
    return Status(code, f"It is {code}.", moment, since=moment)


def minute(moment: datetime) -> int:
    return int((moment - NOW).total_seconds() / 60)


async def test_the_last_check_of_each_record_is_kept(checks: CheckStore) -> None:
    first, second = a_status(1), a_status(2, ProbeCode.TLS)
    assert await checks.save("acme", "ghcr", 3, first) == first
    assert await checks.save("acme", "quay", 4, second) == second
    found = await checks.of("acme", ["ghcr", "quay", "other"])
    assert found == {("ghcr", 3): first, ("quay", 4): second}
    assert await checks.of("globex", ["ghcr"]) == {}
    assert await checks.of("acme", []) == {}


async def test_since_is_the_first_check_that_came_to_the_same(checks: CheckStore) -> None:
    seen = []
    for at, code in enumerate(
        (ProbeCode.OK, ProbeCode.OK, ProbeCode.TLS, ProbeCode.UNAUTHORIZED, ProbeCode.OK)
    ):
        status = await checks.save("acme", "ghcr", 1, a_status(at, code))
        seen.append((status.code, minute(status.checked_at), minute(status.since)))
    assert seen == [
        (ProbeCode.OK, 0, 0),
        (ProbeCode.OK, 1, 0),
        (ProbeCode.TLS, 2, 2),
        (ProbeCode.UNAUTHORIZED, 3, 2),
        (ProbeCode.OK, 4, 4),
    ]


async def test_another_version_begins_anew(checks: CheckStore) -> None:
    await checks.save("acme", "ghcr", 1, a_status(1))
    status = await checks.save("acme", "ghcr", 2, a_status(2))
    assert minute(status.since) == 2
    assert await checks.of("acme", ["ghcr"]) == {("ghcr", 2): status}


async def test_a_check_that_ended_late_does_not_hide_a_later_one(checks: CheckStore) -> None:
    later = await checks.save("acme", "ghcr", 1, a_status(5))
    await checks.save("acme", "ghcr", 1, a_status(4, ProbeCode.TIMEOUT))
    assert await checks.of("acme", ["ghcr"]) == {("ghcr", 1): later}


async def test_it_goes_with_its_record(checks: CheckStore, records: RecordStore) -> None:
    record = await records.create("acme", a_record(), None, now=NOW)
    await checks.save("acme", record.id, record.version, a_status(1))
    assert await records.delete("acme", record.id, if_version=None, now=NOW)
    assert await checks.of("acme", [record.id]) == {}
    assert await checks.history("acme", record.id) == []


async def test_checks_in_a_row_that_came_to_the_same_are_one_run_of_the_history(
    checks: CheckStore,
) -> None:
    codes = (ProbeCode.OK, ProbeCode.OK, ProbeCode.TLS, ProbeCode.UNAUTHORIZED, ProbeCode.OK)
    for at, code in enumerate(codes):
        # Another version is the same record all the same.
        await checks.save("acme", "ghcr", at, a_status(at, code))
    await checks.save("acme", "ghcr", 9, a_status(1, ProbeCode.TIMEOUT))
    found = await checks.history("acme", "ghcr")
    told = [(run.code, minute(run.began_at), minute(run.ended_at), run.checks) for run in found]
    assert told == [
        (ProbeCode.OK, 0, 1, 2),
        (ProbeCode.TLS, 2, 2, 1),
        (ProbeCode.UNAUTHORIZED, 3, 3, 1),
        (ProbeCode.OK, 4, 4, 1),
    ]
    assert await checks.history("acme", "quay") == []
    assert await checks.history("globex", "ghcr") == []


async def test_the_history_of_a_record_is_never_long(checks: CheckStore) -> None:
    for at in range(RUNS_KEPT + 7):
        await checks.save("acme", "ghcr", 1, a_status(at, (ProbeCode.OK, ProbeCode.TLS)[at % 2]))
    await checks.save("acme", "quay", 1, a_status(0))
    found = await checks.history("acme", "ghcr")
    assert [minute(run.began_at) for run in found] == list(range(7, RUNS_KEPT + 7))
    assert len(await checks.history("acme", "quay")) == 1
