"""Several server processes on one PostgreSQL: what each more of them brings.

    python -m bench.scaleout [SECONDS [PROCESSES...]]

1, 2 and 4 servers, each with its port, share one database and one organization, and so one chain of
the audit log; 64 connections of wrk are spread over them. ``reads_per_second`` is the sum.
``efficiency`` is that by what as many single servers would do; it says nothing where there are
fewer cores than servers, wrk and PostgreSQL need. ``cpu_efficiency`` does there too: the
processor time that a read takes one server, by what it takes one of several.

``exchanges_per_record`` is how often the upstream (a stand-in for ECR) was asked for each record
when all servers were asked for all records at once.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.load import CONNECTIONS, Load, load, require_wrk
from bench.places import Place, images_script, places
from bench.report import show
from tests.parts.api_client import ApiClient
from tests.parts.aws import SECRET_ACCESS_KEY, Aws, AwsKey, moto_server
from tests.parts.server import PullpassServer, pullpass_server

ROUNDS = 3
RECORDS = 100
EXCHANGED = 10


def at_once(servers: Sequence[PullpassServer], seconds: float, script: Path) -> list[Load]:
    each = CONNECTIONS // len(servers)
    with ThreadPoolExecutor(len(servers)) as pool:
        running = [
            pool.submit(load, server, "/", seconds, script, connections=each) for server in servers
        ]
        return [one.result() for one in running]


def exchanges(servers: Sequence[PullpassServer], aws: Aws) -> float:
    """Calls of the upstream for a record."""
    with ApiClient(servers[0]) as client:
        for number in range(EXCHANGED):
            key = f"AKIAIOSFODNN{len(servers)}{number:07}"
            secret = f"{SECRET_ACCESS_KEY[:-3]}{number:03}"
            aws.keys[key] = AwsKey(secret)
            made = client.call(
                "POST",
                "registries",
                json={
                    "id": f"ecr-{number}",
                    "registry": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/app{number}",
                    "type": "amazon_ecr",
                    "creds": {"username": key, "password": secret},
                    "options": {"endpoint": aws.url},
                },
            )
            assert made.status_code == 201, made.text
    before = aws.count("ecr:GetAuthorizationToken")

    def ask(server: PullpassServer, number: int) -> None:
        with ApiClient(server) as client:
            answer = client.call("GET", f"registries/ecr-{number}/creds")
            assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(16) as pool:
        asked = [(server, number) for number in range(EXCHANGED) for server in servers]
        for done in [pool.submit(ask, *each) for each in asked]:
            done.result()
    return (aws.count("ecr:GetAuthorizationToken") - before) / EXCHANGED


def measure(place: Place, count: int, seconds: float, aws: Aws) -> dict[str, float]:
    key = {"PULLPASS_MASTER_KEY_FILE": str(place.folder / "master.key")}
    env = {**place.env, **key, "PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(
                pullpass_server(place.folder / f"{number}", env=env, admin_token=place.token)
            )
            for number in range(count)
        ]
        script = images_script(place.folder, RECORDS)
        at_once(servers, 1, script)
        rounds = [at_once(servers, seconds, script) for _ in range(ROUNDS)]
        asked = exchanges(servers, aws)
    per_second = [sum(each.per_second for each in loads) for loads in rounds]
    cpu = [
        sum(each.cpu_us * each.per_second for each in loads)
        / sum(each.per_second for each in loads)
        for loads in rounds
    ]
    return {
        "reads_per_second": round(statistics.median(per_second)),
        "read_cpu_us": round(statistics.median(cpu)),
        "p99_ms": round(statistics.median(max(one.p99_ms for one in each) for each in rounds), 1),
        "exchanges_per_record": asked,
    }


def main() -> None:
    require_wrk()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    counts = [int(each) for each in sys.argv[2:]] or [1, 2, 4]
    result: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="pullpass-bench-") as folder,
        places() as room,
        moto_server(Path(folder)) as moto,
        Aws(moto) as aws,
    ):
        for count in counts:
            found = measure(room.make("postgresql", RECORDS), count, seconds, aws)
            result[f"{count} servers"] = found
    first = next(iter(result.values()))
    for count, found in zip(counts, result.values(), strict=True):
        single = first["reads_per_second"] * count / counts[0]
        found["efficiency"] = round(found["reads_per_second"] / single, 2)
        found["cpu_efficiency"] = round(first["read_cpu_us"] / found["read_cpu_us"], 2)
    print(f"{os.cpu_count()} cores for the servers, wrk and PostgreSQL")
    show(result)


if __name__ == "__main__":
    main()
