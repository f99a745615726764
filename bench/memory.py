"""Memory for records, and how long a server with many of them takes to answer.

    python -m bench.memory [RECORDS...]

For each number of records (0 and 100,000; 1,000,000 by argument), on SQLite: resident memory of the
worker once the organization is in memory, the time from the start of the command to the server
being ready, and from then to the first credential and to the first answer that needs all records.
"""

from __future__ import annotations

import sys
import time

import httpx

from bench.load import workers
from bench.places import ORGANIZATION, Place, places, prefix
from bench.report import show
from bench.startup import resident
from tests.parts.server import pullpass_server

SIZES = (0, 100_000)
_PER = 100_000
_PATIENCE = 600


def measure(place: Place, count: int) -> dict[str, float]:
    began = time.perf_counter()
    with pullpass_server(place.folder, env=place.env, admin_token=place.token) as server:
        ready = time.perf_counter()
        before = sum(resident(pid) for pid in workers(server))
        number = count // 2
        answer = httpx.get(
            f"{server.url}/orgs/{ORGANIZATION}/image-creds",
            params={"image": f"{prefix(number)}/x:1"},
            headers={"Authorization": f"Bearer {place.token}"},
            timeout=_PATIENCE,
        )
        first = time.perf_counter()
        assert answer.json().get("password") == (f"password-{number}" if count else None)
        whole = httpx.post(
            f"{server.url}/orgs/{ORGANIZATION}/registries/actions/match",
            json={"images": ["ghcr.io/acme/app"]},
            headers={"Authorization": f"Bearer {place.token}"},
            timeout=_PATIENCE,
        )
        assert whole.status_code == 200, whole.text
        loaded = time.perf_counter()
        after = sum(resident(pid) for pid in workers(server))
    return {
        "ready_s": round(ready - began, 2),
        "first_answer_s": round(first - ready, 2),
        "all_loaded_s": round(loaded - ready, 2),
        "worker_mib": after,
        "records_mib": after - before,
    }


def main() -> None:
    sizes = [int(each) for each in sys.argv[1:]] or list(SIZES)
    result: dict[str, dict[str, float]] = {}
    with places(("sqlite",)) as room:
        for count in sizes:
            result[f"{count:,} records"] = measure(room.make("sqlite", count), count)
    empty = next(iter(result.values()))["worker_mib"]
    for count, figures in zip(sizes, result.values(), strict=True):
        if count >= _PER:
            per = (figures["worker_mib"] - empty) * _PER / count
            figures["mib_per_100,000"] = round(per, 1)
    show(result)


if __name__ == "__main__":
    main()
