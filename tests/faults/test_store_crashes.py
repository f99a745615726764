from __future__ import annotations

import subprocess
import sys

from pullpass.domain.identity import Organization
from pullpass.store.changes import ChangeFeed
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.records import RecordStore
from tests.store.values import NOW, a_user

ACKNOWLEDGED = 40

# Four writers at once, so that the process dies amid a transaction; each line is one answer.
WRITER = """
import asyncio, sys
from pullpass.store.engine import Database
from pullpass.store.records import RecordStore
from tests.store.values import NOW, a_record

async def write(store, writer):
    number = 0
    while True:
        record = await store.create("acme", a_record(f"w{writer}-{number}"), b"sealed", now=NOW)
        print(record.version, record.id, flush=True)
        number += 1

async def main():
    store = RecordStore(await Database.open(sys.argv[1]))
    await asyncio.gather(*(write(store, writer) for writer in range(4)))

asyncio.run(main())
"""


def write_until_killed(url: str) -> list[tuple[int, str]]:
    """Versions and ids of the records that a process acknowledged before it died (SIGKILL)."""
    command = [sys.executable, "-c", WRITER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(ACKNOWLEDGED)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.returncode == -9
    acknowledged = [line.split() for line in lines if line.endswith("\n")]
    return [(int(version), record_id) for version, record_id in acknowledged]


async def test_what_was_acknowledged_is_there_after_a_crash(url: str) -> None:
    database = await Database.open(url)
    identity = IdentityStore(database)
    acme = Organization("acme", "Acme", NOW, "root")
    await identity.create_organization(acme, a_user("ada"), now=NOW)
    await database.close()

    acknowledged = write_until_killed(url)

    assert len(acknowledged) >= ACKNOWLEDGED
    database = await Database.open(url)
    records = RecordStore(database)
    found = await records.many("acme", [record_id for _, record_id in acknowledged])
    assert {(stored.record.version, stored.record.id) for stored in found.values()} == set(
        acknowledged
    )
    assert {stored.sealed for stored in found.values()} == {b"sealed"}
    changes = await ChangeFeed(database).since("org:acme", 0)
    everything = await records.page("acme", after=None, limit=10_000)
    assert changes is not None
    assert sorted(change.subject for change in changes) == [record.id for record in everything]
    await database.close()
