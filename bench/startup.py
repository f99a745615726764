"""Start of a server to its first answer, and the memory of its processes.

    python -m bench.startup [RUNS]

Prints a table and one line of JSON. ``peer`` is the time of the same interpreter importing the
HTTP server alone, so that the ratio holds on another machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.parts.server import PullpassServer, initialize, is_ready, pullpass_server


def seconds_to_first_answer(data_dir: Path, token: str) -> tuple[float, dict[str, int]]:
    began = time.perf_counter()
    with pullpass_server(data_dir, admin_token=token) as server:
        while not is_ready(server.url):
            time.sleep(0.005)
        return time.perf_counter() - began, memory(server)


def memory(server: PullpassServer) -> dict[str, int]:
    """Resident memory in MiB: of the supervisor and of the largest worker."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return {
        "supervisor": resident(server.pid),
        "worker": max(resident(int(child)) for child in children),
    }


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def peer_seconds() -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "import granian.server, starlette.applications"], check=True
    )
    return time.perf_counter() - began


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory(prefix="pullpass-bench-") as folder:
        data_dir = Path(folder) / "data"
        token = initialize(data_dir, "acme", env={})
        measured = [seconds_to_first_answer(data_dir, token) for _ in range(runs)]
        peers = [peer_seconds() for _ in range(runs)]
    start = statistics.median(seconds for seconds, _ in measured)
    peer = statistics.median(peers)
    result = {
        "runs": runs,
        "start_to_first_answer_s": round(start, 3),
        "peer_import_s": round(peer, 3),
        "ratio": round(start / peer, 2),
        "worker_mib": max(sizes["worker"] for _, sizes in measured),
        "supervisor_mib": max(sizes["supervisor"] for _, sizes in measured),
    }
    for name, value in result.items():
        print(f"{name:<26}{value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
