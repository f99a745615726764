"""Credential reads over HTTP: authenticated, matched, opened, and on disk in the audit log.

    python -m bench.reads [SECONDS [RECORDS...]]

One server process on one core, and 64 connections of wrk on the others, which ask for random
images among 100 and 100,000 records (1,000,000 by argument), on SQLite and on a PostgreSQL that
syncs. In turn with it, a fixed answer of the same server, through the same layers: `/health/live`.
``ratio`` is of requests per second, ``cpu_ratio`` of the server's processor time for a request,
which other work on the machine disturbs less. ``few_p99_ms`` is with 16 connections, that leave no
less to do but wait less for each other. ``cold`` is the first credential after a start, asked for
as soon as the server is ready; ``warm`` one request alone, later. ``loading`` is of reads while the
records are being loaded, and ``loaded_s`` how long that takes beside them, where it is seconds at
all. All else is measured when they are loaded.
"""

from __future__ import annotations

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.load import Load, load, median, one_core, require_wrk
from bench.places import Place, images_script, places, prefix
from bench.report import show
from tests.parts.api_client import ApiClient
from tests.parts.server import PullpassServer, pullpass_server

ROUNDS = 5
SIZES = (100, 100_000)
_ALONE = 200
_FEW = 16
_PATIENCE = 600


def first_answer(server: PullpassServer) -> float:
    """Milliseconds of the first credential that a server gives."""
    with ApiClient(server) as client:
        began = time.perf_counter()
        assert client.password_for(f"{prefix(7)}/x:1") == "password-7"
        return (time.perf_counter() - began) * 1000


def while_loading(server: PullpassServer, asked: Path) -> dict[str, float]:
    """What is answered from now until all records are loaded, which is when this returns."""
    slices: list[Load] = []
    with ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(seconds_to_load, server)
        while not loaded.done():
            slices.append(load(server, "/", 1, asked))
    # The last record came during the last.
    if len(slices) < 2:
        return {}
    reads = median(slices[:-1])
    return {
        "loading_per_second": round(reads.per_second),
        "loading_p99_ms": round(reads.p99_ms, 1),
        "loaded_s": round(loaded.result(), 1),
    }


def seconds_to_load(server: PullpassServer) -> float:
    with ApiClient(server, seconds=_PATIENCE) as client:
        began = time.perf_counter()
        # Any record may match, so that this waits for all.
        answer = client.call("POST", "registries/actions/match", json={"images": ["ghcr.io/a"]})
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - began


def alone(server: PullpassServer, count: int) -> float:
    """Milliseconds of a request with nothing else going on."""
    with ApiClient(server) as client:
        times = []
        for number in range(_ALONE):
            began = time.perf_counter()
            client.password_for(f"{prefix(number * 7919 % count)}/x:1")
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measure(place: Place, count: int, seconds: float) -> dict[str, float]:
    asked = images_script(place.folder, count)
    with (
        one_core() as leave_it,
        pullpass_server(place.folder, env=place.env, admin_token=place.token) as server,
    ):
        leave_it()
        cold = first_answer(server)
        loading = while_loading(server, asked)
        load(server, "/", 1, asked)
        fixed: list[Load] = []
        reads: list[Load] = []
        few: list[Load] = []
        for _ in range(ROUNDS):
            fixed.append(load(server, "/health/live", seconds))
            reads.append(load(server, "/", seconds, asked))
            few.append(load(server, "/", seconds, asked, connections=_FEW))
        warm = alone(server, count)
    ceiling, read = median(fixed), median(reads)
    pairs = list(zip(fixed, reads, strict=True))
    return {
        "fixed_per_second": round(ceiling.per_second),
        "reads_per_second": round(read.per_second),
        "ratio": round(statistics.median(b.per_second / a.per_second for a, b in pairs), 2),
        "fixed_cpu_us": round(ceiling.cpu_us),
        "read_cpu_us": round(read.cpu_us),
        "cpu_ratio": round(statistics.median(a.cpu_us / b.cpu_us for a, b in pairs), 2),
        "p50_ms": round(read.p50_ms, 1),
        "p99_ms": round(read.p99_ms, 1),
        "fixed_p99_ms": round(ceiling.p99_ms, 1),
        "few_p99_ms": round(median(few).p99_ms, 1),
        "cold_ms": round(cold, 1),
        "warm_ms": round(warm, 1),
        **loading,
    }


def main() -> None:
    require_wrk()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    sizes = [int(each) for each in sys.argv[2:]] or SIZES
    result: dict[str, dict[str, float]] = {}
    with places() as room:
        for kind in ("sqlite", "postgresql"):
            for count in sizes:
                result[f"{kind} {count}"] = measure(room.make(kind, count), count, seconds)
    show(result)


if __name__ == "__main__":
    main()
