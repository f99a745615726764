"""Durable record creations, beside the database's own bare inserts of such rows.

    python -m bench.writes [SECONDS [RECORDS...]]

Creations go over HTTP with 64 connections of wrk, sealed and audited, to one server process on one
core, into an organization with no records (1,000,000 by argument) that are in memory. The peer puts
equal rows into the same table, with its indexes and its foreign key, each in a transaction of its
own that reaches the disk, and does nothing besides: no audit log, no change feed, no HTTP. On
SQLite, which has one writer at a time, that is one process; on PostgreSQL it is pgbench with
prepared statements, once with 64 connections, one for each client of ours, and once with as many as
a server process opens at most (``pooled``). In turn, three times; each ``ratio`` is of the medians.
``cpu_us`` is the server's processor time for one.
"""

from __future__ import annotations

import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.load import CONNECTIONS, Load, load, median, one_core, require_wrk
from bench.places import Place, places
from bench.reads import seconds_to_load
from bench.report import show
from tests.parts.postgres import require_postgres
from tests.parts.server import PullpassServer, pullpass_server

ROUNDS = 3
# As in pullpass.store.postgresql.
_POOL = 10
_COLUMNS = (
    "organization_id, id, registry, prefix, type, enable_ci, sealed_creds, created_at, created_by,"
    " version"
)
_SEALED_BYTES = 120


def script(folder: Path, number: int) -> Path:
    """What tells wrk to create records that were never there before."""
    path = folder / f"create-{number}.lua"
    path.write_text(
        "local n = 0\n"
        'wrk.headers["Content-Type"] = "application/json"\n'
        "request = function()\n"
        "  n = n + 1\n"
        f'  local id = "new-{number}-" .. n\n'
        '  local creds = \'"creds":{"username":"bot","password":"secret"}\'\n'
        '  local body = \'{"id":"\' .. id .. \'","registry":"new.example.com/\' .. id\n'
        '    .. \'","type":"basic",\' .. creds .. \'}\'\n'
        '  return wrk.format("POST", "/orgs/acme/registries", nil, body)\n'
        "end\n"
    )
    return path


def bare_sqlite(place: Place, name: str, seconds: float) -> float:
    connection = sqlite3.connect(place.folder / "pullpass.db", isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("INSERT OR IGNORE INTO organizations VALUES ('bare', 'Bare', 0, 'bench')")
    insert = f"INSERT INTO records ({_COLUMNS}) VALUES ({', '.join('?' * 10)})"
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += 1
        row_id = f"{name}-{count}"
        sealed = os.urandom(_SEALED_BYTES)
        prefix = f"bare.example.com/{row_id}"
        connection.execute(
            insert, ("bare", row_id, prefix, prefix, "basic", False, sealed, 0, "x", 1)
        )
    taken = time.perf_counter() - began
    connection.close()
    return count / taken


def bare_postgresql(place: Place, name: str, seconds: float, connections: int) -> float:
    url = place.env["PULLPASS_DATABASE"]
    program = require_postgres() / "pgbench"
    statements = place.folder / f"{name}.sql"
    row_id = f"'{name}-' || :client_id || '-' || :a || '-' || :b"
    prefix = f"'bare.example.com/' || {row_id}"
    statements.write_text(
        "\\set a random(1, 2000000000)\n\\set b random(1, 2000000000)\n"
        f"INSERT INTO records ({_COLUMNS}) VALUES ('bare', {row_id}, {prefix}, {prefix}, 'basic', "
        f"false, decode(repeat('ab', {_SEALED_BYTES}), 'hex'), 0, 'x', 1);\n"
    )
    said = subprocess.run(
        [
            *(program, "--no-vacuum", "--protocol=prepared", f"--client={connections}"),
            *(f"--time={max(1, round(seconds))}", f"--file={statements}", url),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"tps = ([\d.]+)", said)
    assert found is not None, said
    return float(found[1])


def bare(place: Place, number: int, seconds: float) -> dict[str, float]:
    """The rates of the peers, by what they are called."""
    if place.name == "sqlite":
        return {"bare": bare_sqlite(place, f"bare-{number}", seconds)}
    return {
        "bare": bare_postgresql(place, f"bare-{number}", seconds, CONNECTIONS),
        "pooled": bare_postgresql(place, f"pooled-{number}", seconds, _POOL),
    }


def measure(place: Place, seconds: float) -> dict[str, float]:
    with (
        one_core() as leave_it,
        pullpass_server(place.folder, env=place.env, admin_token=place.token) as server,
    ):
        leave_it()
        created, peers = [], []
        seconds_to_load(server)
        _create(server, place, 0, 1)
        for number in range(1, ROUNDS + 1):
            created.append(_create(server, place, number, seconds))
            peers.append(bare(place, number, seconds))
    ours = median(created)
    found = {
        "created_per_second": round(ours.per_second),
        "cpu_us": round(ours.cpu_us),
        "p99_ms": round(ours.p99_ms, 1),
    }
    for name in peers[0]:
        rate = statistics.median(each[name] for each in peers)
        found[f"{name}_per_second"] = round(rate)
        found["ratio" if name == "bare" else f"{name}_ratio"] = round(ours.per_second / rate, 2)
    return found


def _create(server: PullpassServer, place: Place, number: int, seconds: float) -> Load:
    return load(server, "/", seconds, script(place.folder, number))


def main() -> None:
    require_wrk()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    sizes = [int(each) for each in sys.argv[2:]] or [0]
    result: dict[str, dict[str, float]] = {}
    with places() as room:
        for kind in ("sqlite", "postgresql"):
            for count in sizes:
                place = room.make(kind, count)
                if kind == "postgresql":
                    room.sql(place, "INSERT INTO organizations VALUES ('bare', 'Bare', 0, 'bench')")
                result[f"{kind} {count}"] = measure(place, seconds)
    show(result)


if __name__ == "__main__":
    main()
