"""What the durable audit log costs a credential read.

    python -m bench.audit [SECONDS]

One server process, and 64 connections of `wrk` (apt-get install wrk), in turn against the same
server: a fixed answer (`/health/live`), and the credential for an image, which is authenticated,
matched, opened, and on disk in the audit log before it leaves. Beside them, how often the disk
syncs at all. On SQLite, and on a PostgreSQL that syncs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.parts.api_client import ApiClient
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, pullpass_server

CONNECTIONS = 64
ROUNDS = 3


def rate(server: PullpassServer, path: str, seconds: int) -> tuple[float, float]:
    """Requests per second, and the 99th percentile in milliseconds."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    header = f"Authorization: Bearer {server.admin_token}"
    done = subprocess.run(
        [*command, "-H", header, server.url + path], capture_output=True, text=True, check=True
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    requests = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    slowest = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert requests is not None
    assert slowest is not None
    scale = {"us": 0.001, "ms": 1, "s": 1000}[slowest[2]]
    return float(requests[1]), float(slowest[1]) * scale


def fsyncs(folder: Path) -> float:
    """Appends of 4 KiB per second, each synced."""
    path = folder / "fsync"
    count = 200
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(count):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
        return count / (time.perf_counter() - began)


def measure(folder: Path, env: dict[str, str], seconds: int) -> dict[str, object]:
    with pullpass_server(folder, env=env) as server, ApiClient(server) as client:
        client.create("ghcr", "ghcr.io/acme", "password")
        read = f"/orgs/{server.organization}/image-creds?image=ghcr.io/acme/app:1"
        rate(server, read, 1)
        ceiling, reads = [], []
        for _ in range(ROUNDS):
            ceiling.append(rate(server, "/health/live", seconds))
            reads.append(rate(server, read, seconds))
    fixed = statistics.median(requests for requests, _ in ceiling)
    audited = statistics.median(requests for requests, _ in reads)
    return {
        "fixed_per_second": round(fixed),
        "audited_per_second": round(audited),
        "ratio": round(audited / fixed, 3),
        "p99_ms": round(statistics.median(slowest for _, slowest in reads), 1),
    }


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    folder = Path(tempfile.mkdtemp(prefix="pullpass-bench-"))
    cluster_folder = Path(tempfile.mkdtemp(prefix="pullpass-bench-pg-"))
    result: dict[str, object] = {"fsyncs_per_second": round(fsyncs(folder))}
    cluster = PostgresCluster(cluster_folder)
    try:
        result["sqlite"] = measure(folder / "sqlite", {}, seconds)
        cluster.sql("ALTER SYSTEM SET fsync = on")
        cluster.stop()
        cluster.start()
        env = {"PULLPASS_DATABASE": cluster.url(cluster.create_database())}
        result["postgresql"] = measure(folder / "postgresql", env, seconds)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder)
        shutil.rmtree(cluster_folder)
    for name, figures in result.items():
        print(f"{name:<18} {figures}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
