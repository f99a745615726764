"""A server under mixed load for a long time, with faults in between: nothing may be lost, and
nothing may grow.

    python -m bench.soak [MINUTES] [--sqlite]

Two workers on PostgreSQL (or SQLite). Clients create, rotate, delete and read records, make and
revoke tokens, match images, read credentials that are exchanged and live half a minute, wait for
changes and look at the web page. In between the master key is rotated, the database is restarted,
crashed and paused, the upstream goes away, a worker is killed.

Memory and descriptors are those of the worker that is never killed. The run fails where they have
grown from the first third (after the first tenth, for warming up) to the last third by more than
:data:`MOST_MEMORY` and :data:`MOST_DESCRIPTORS`, where anything acknowledged is lost, where a call
hangs, or where the audit log is not whole. Latencies are shown, and part of no verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak_clients import Clients
from tests.parts.api_client import ApiClient
from tests.parts.aws import Aws, ecr_record, moto_server
from tests.parts.load import Load
from tests.parts.postgres import PostgresCluster, postgres_cluster
from tests.parts.server import PullpassServer, pullpass_server

MOST_MEMORY = 1.10
MOST_DESCRIPTORS = 10
WORKERS = 2
EXCHANGED_RECORDS = 5
LIFETIME = 30.0
SECONDS_BETWEEN_FAULTS = 15.0
OUTAGE_SECONDS = 10.0
# A worker that dies sooner after its start than this takes the server with it.
RESPAWN_SECONDS = 10.0


@dataclass
class Minute:
    """What was measured within it: seconds of each call, MiB, numbers of descriptors."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Diary:
    """Measures until the block ends."""

    def __init__(self, pid: int) -> None:
        self.minutes: list[Minute] = [Minute()]
        self.samples: list[tuple[float, int]] = []
        self._pid = pid
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Diary:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def observe(self, seconds: float) -> None:
        self.minutes[-1].seconds.append(seconds)

    def note(self, fault: str) -> None:
        self.minutes[-1].faults.append(fault)

    def grown(self) -> tuple[float, int]:
        """By what factor the memory, and by how many the descriptors."""
        warm = self.samples[len(self.samples) // 10 :]
        third = len(warm) // 3
        first, last = warm[:third], warm[-third:]
        memory = [statistics.median(mib for mib, _ in part) for part in (first, last)]
        descriptors = [statistics.median(count for _, count in part) for part in (first, last)]
        return memory[1] / memory[0], round(descriptors[1] - descriptors[0])

    def _sample(self) -> None:
        while not self._stopping.wait(1):
            status = Path(f"/proc/{self._pid}/status").read_text()
            memory = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            descriptors = len(os.listdir(f"/proc/{self._pid}/fd"))
            self.samples.append((memory, descriptors))
            if time.monotonic() - self._began > 60 * len(self.minutes):
                print(row(len(self.minutes), self.minutes[-1]), flush=True)
                self.minutes.append(Minute())
            self.minutes[-1].memory.append(memory)
            self.minutes[-1].descriptors.append(descriptors)


HEADINGS = "minute   calls   p50 ms   p99 ms  memory MiB  descriptors  in between"


def row(number: int, minute: Minute) -> str:
    if not minute.seconds or not minute.memory:
        return f"{number:6}"
    times = sorted(minute.seconds)
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return (
        f"{number:6} {len(times):7} {p50:8.1f} {p99:8.1f} {statistics.median(minute.memory):11.1f} "
        f"{max(minute.descriptors):12}  {', '.join(minute.faults)}"
    )


def workers_of(server: PullpassServer) -> list[int]:
    """The process ids of its workers, the oldest first."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    found = map(int, children)
    return sorted(pid for pid in found if "resource_tracker" not in command_of(pid))


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


class Faults:
    """One after the other, over and over. Each returns when it is over."""

    def __init__(
        self, server: PullpassServer, cluster: PostgresCluster | None, aws: Aws, keep: int
    ) -> None:
        self._server = server
        self._cluster = cluster
        self._aws = aws
        self._keep = keep
        self._killed_at = time.monotonic()

    def all(self) -> list[tuple[str, Callable[[], None]]]:
        """What it is called, and what does it."""
        found = [
            ("keys rotated", self._rotate_keys),
            ("upstream away", self._upstream_away),
            ("worker killed", self._kill_worker),
        ]
        if self._cluster is not None:
            found += [
                ("database restarted", lambda: self._restart("fast")),
                ("database crashed", lambda: self._restart("immediate")),
                ("database paused", self._pause),
            ]
        return found

    def _rotate_keys(self) -> None:
        for step in ("rotate", "retire"):
            done = self._server.local("keys", step)
            assert done.returncode == 0, done.stderr

    def _upstream_away(self) -> None:
        self._aws.stop()
        time.sleep(OUTAGE_SECONDS)
        self._aws.start()

    def _kill_worker(self) -> None:
        time.sleep(max(0.0, self._killed_at + RESPAWN_SECONDS - time.monotonic()))
        others = [pid for pid in workers_of(self._server) if pid != self._keep]
        os.kill(others[-1], signal.SIGKILL)
        self._killed_at = time.monotonic()

    def _restart(self, mode: str) -> None:
        assert self._cluster is not None
        self._cluster.stop(mode)
        self._cluster.start()

    def _pause(self) -> None:
        assert self._cluster is not None
        self._cluster.pause()
        time.sleep(OUTAGE_SECONDS)
        self._cluster.resume()


@contextmanager
def running(folder: Path, *, sqlite: bool) -> Iterator[tuple[PullpassServer, Aws, Faults, int]]:
    """A server, its upstream, what can be done to both, and the worker that is never killed."""
    with ExitStack() as stack:
        cluster = None if sqlite else stack.enter_context(postgres_cluster())
        aws = stack.enter_context(Aws(stack.enter_context(moto_server(folder))))
        aws.lifetime = LIFETIME
        env = {
            "PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8",
            "PULLPASS_MIN_CREDENTIAL_SECONDS": "2",
            "PULLPASS_LOG_LEVEL": "error",
        }
        if cluster is not None:
            env["PULLPASS_DATABASE"] = cluster.url(cluster.create_database())
        arguments = ["--workers", str(WORKERS)]
        server = stack.enter_context(pullpass_server(folder / "data", env=env, arguments=arguments))
        keep = workers_of(server)[0]
        yield server, aws, Faults(server, cluster, aws, keep), keep


def soak(minutes: float, folder: Path, *, sqlite: bool) -> list[str]:
    """What was wrong at the end."""
    with running(folder, sqlite=sqlite) as (server, aws, faults, keep):
        records = [f"ecr-{number}" for number in range(EXCHANGED_RECORDS)]
        with ApiClient(server) as client:
            for number, name in enumerate(records):
                account = f"{number:012}.dkr.ecr.eu-west-1.amazonaws.com"
                record = ecr_record(aws, name, account, number + 1)
                assert client.call("POST", "registries", json=record).status_code == 201
        diary = Diary(keep)
        load = Load([server], pause=0.05, observe=diary.observe)
        clients = Clients(server, aws, records, load.book, diary.observe)
        print(HEADINGS, flush=True)
        end = time.monotonic() + minutes * 60
        with diary, load, clients:
            while True:
                for name, fault in faults.all():
                    time.sleep(min(SECONDS_BETWEEN_FAULTS, max(0.0, end - time.monotonic())))
                    if time.monotonic() >= end:
                        break
                    diary.note(name)
                    fault()
                if time.monotonic() >= end:
                    break
        return verdict(diary, load, clients, server)


def verdict(diary: Diary, load: Load, clients: Clients, server: PullpassServer) -> list[str]:
    wrong = list(load.book.wrong)
    memory, descriptors = diary.grown()
    if memory > MOST_MEMORY:
        wrong.append(f"memory grew to {memory:.2f} of what it was; {MOST_MEMORY} is allowed")
    if descriptors > MOST_DESCRIPTORS:
        wrong.append(f"{descriptors} descriptors more; {MOST_DESCRIPTORS} are allowed")
    entries = 0
    try:
        load.book.wrong.clear()
        with ApiClient(server) as client:
            load.book.check(client)
        entries = load.book.check_log(server)
    except AssertionError as error:
        wrong.append(str(error))
    verified = server.local("audit", "verify")
    if verified.returncode != 0:
        wrong.append(verified.stdout + verified.stderr)
    print(f"\nWriters: {load.book.told()}")
    print("Others: " + ", ".join(f"{n} x {name}" for name, n in clients.outcomes.most_common()))
    print(f"Acknowledged: {load.book.acknowledged}, all in the audit log of {entries} entries.")
    print(f"Memory: x {memory:.3f}. Descriptors: {descriptors:+d}. {verified.stdout.strip()}")
    print(
        json.dumps(
            {
                "minutes": len(diary.minutes),
                "acknowledged": load.book.acknowledged,
                "memory_ratio": round(memory, 3),
                "descriptors": descriptors,
                "wrong": wrong,
            }
        )
    )
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=20.0)
    parser.add_argument("--sqlite", action="store_true", help="on SQLite instead of PostgreSQL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pullpass-soak-") as folder:
        wrong = soak(given.minutes, Path(folder), sqlite=given.sqlite)
    for each in wrong:
        print(f"WRONG: {each}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
