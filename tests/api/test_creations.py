"""Records that many create at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from tests.api.conftest import Api

PASSWORD = "hunter2-canary"


def body(record_id: str, registry: str) -> dict[str, Any]:
    creds = {"username": "bot", "password": PASSWORD}
    return {"id": record_id, "registry": registry, "type": "basic", "creds": creds}


async def logged(api: Api) -> Counter[str]:
    """The records that the log says were created."""
    found = await api.call("GET", "/orgs/acme/audit-logs?action=registry.create&limit=100")
    return Counter(each["registry_id"] for each in found.json())


async def test_of_twins_one_is_created_and_all_that_is_acknowledged_is_there(api: Api) -> None:
    wanted = [body(f"id-{n}", f"r{n}.io") for n in range(20)]
    wanted += [body(f"id-{n}", f"other{n}.io") for n in range(10)]
    wanted += [body(f"twin-{n}", f"r{n}.io") for n in range(10, 20)]
    answers = await asyncio.gather(*(api.create(**each) for each in wanted))
    assert Counter(each.status_code for each in answers) == {201: 20, 409: 20}
    created = {each.json()["id"]: each for each in answers if each.status_code == 201}
    assert len(created) == 20
    for asked, answer in zip(wanted, answers, strict=True):
        if answer.status_code == 409:
            winner = created[answer.json()["details"]["registry_id"]].json()
            assert asked["id"] == winner["id"] or asked["registry"] == winner["registry"]
    assert len({each.headers["etag"] for each in created.values()}) == 20
    listed = (await api.call("GET", "/orgs/acme/registries")).json()
    assert {each["id"]: each for each in listed} == {
        record_id: each.json() for record_id, each in created.items()
    }
    assert await logged(api) == Counter(created.keys())
    for each in created.values():
        image = f"{each.json()['registry']}/app"
        found = await api.call("GET", f"/orgs/acme/image-creds?image={image}")
        assert found.json()["password"] == PASSWORD


async def test_what_cannot_be_written_is_told_to_each_and_leaves_nothing(api: Api) -> None:
    wanted = [body(f"id-{n}", f"r{n}.io") for n in range(8)]
    with closing(sqlite3.connect(api.data_dir / "pullpass.db")) as database:
        database.execute("ALTER TABLE audit_entries RENAME TO elsewhere")
        answers = await asyncio.gather(*(api.create(**each) for each in wanted))
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert PASSWORD not in answer.text
        database.execute("ALTER TABLE elsewhere RENAME TO audit_entries")
    assert (await api.call("GET", "/orgs/acme/registries")).json() == []
    again = await asyncio.gather(*(api.create(**each) for each in wanted))
    assert [each.status_code for each in again] == [201] * 8
    assert await logged(api) == Counter(each["id"] for each in wanted)


async def test_who_hangs_up_leaves_a_whole_record_or_none(api: Api) -> None:
    wanted = [body(f"id-{n}", f"r{n}.io") for n in range(30)]
    calls = [asyncio.create_task(api.create(**each)) for each in wanted]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    for call in calls[::2]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(not isinstance(each, BaseException) for each in answers[1::2])
    # A creation behind all of them: they are written by now, or never.
    assert (await api.create(**body("last", "last.io"))).status_code == 201
    listed = {each["id"] for each in (await api.call("GET", "/orgs/acme/registries")).json()}
    assert listed >= {each["id"] for each in wanted[1::2]}
    assert await logged(api) == Counter(listed)
