"""Load on a running server by wrk, with the processor time that the server took for it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.parts.server import PullpassServer

CONNECTIONS = 64
_TICKS = os.sysconf("SC_CLK_TCK")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """``cpu_us`` is the processor time of the server, all its processes and threads, for one."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def require_wrk() -> None:
    """Ends the program where there is none: a client in Python would take the server's core."""
    if shutil.which("wrk") is None:
        sys.exit("The load comes from wrk, which is not here: apt-get install wrk")


@contextlib.contextmanager
def one_core() -> Iterator[Callable[[], None]]:
    """What is started within runs on one core; from the call of what is yielded on, all that is
    started runs on the others (on a machine with a single core, on that one too).
    """
    mine = os.sched_getaffinity(0)
    first, *others = sorted(mine)
    os.sched_setaffinity(0, {first})
    try:
        yield lambda: os.sched_setaffinity(0, others or mine)
    finally:
        os.sched_setaffinity(0, mine)


def load(
    server: PullpassServer,
    path: str,
    seconds: float,
    script: Path | None = None,
    *,
    connections: int = CONNECTIONS,
) -> Load:
    """So many connections for so long; with a wrk ``script`` that says what each asks for."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    command += ["-s", str(script)] if script is not None else []
    command += ["-H", f"Authorization: Bearer {server.admin_token}", server.url + path]
    before = processor_seconds(server)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = processor_seconds(server) - before
    assert "Non-2xx" not in said, said
    return Load(
        float(_found(r"Requests/sec:\s+([\d.]+)", said)[1]),
        _percentile(50, said),
        _percentile(99, said),
        used / max(1, int(_found(r"(\d+) requests in", said)[1])) * 1e6,
    )


def median(loads: Sequence[Load]) -> Load:
    """The median of each figure."""
    return Load(
        *(
            statistics.median(getattr(each, name) for each in loads)
            for name in ("per_second", "p50_ms", "p99_ms", "cpu_us")
        )
    )


def workers(server: PullpassServer) -> list[int]:
    """The process ids of those that answer."""
    found = Path(f"/proc/{server.pid}/task").glob("*/children")
    return [int(pid) for each in found for pid in each.read_text().split()]


def processor_seconds(server: PullpassServer) -> float:
    def one(pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    return sum(one(pid) for pid in workers(server))


def _percentile(number: int, said: str) -> float:
    found = _found(rf"{number}%\s+([\d.]+)(us|ms|s)", said)
    return float(found[1]) * _MILLISECONDS[found[2]]


def _found(pattern: str, said: str) -> re.Match[str]:
    found = re.search(pattern, said)
    assert found is not None, said
    return found
