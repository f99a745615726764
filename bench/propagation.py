"""How long a change takes from one replica's acknowledgement to the other's answer.

    python -m bench.propagation [CHANGES]

Two servers on one PostgreSQL. Each rotation is acknowledged by the first and then asked for on the
second until it is there; each revoked token likewise. The contract is one second.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.parts.api_client import ApiClient
from tests.parts.postgres import PostgresCluster
from tests.parts.server import two_replicas


def wait(done: Callable[[], bool]) -> float:
    began = time.perf_counter()
    while not done():
        time.sleep(0.002)
    return (time.perf_counter() - began) * 1000


def measure(cluster: PostgresCluster, folder: Path, changes: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"rotation": [], "revocation": []}
    with (
        two_replicas(folder, cluster.url(cluster.create_database())) as (one, two),
        ApiClient(one) as writer,
        ApiClient(two) as reader,
    ):
        writer.create("ghcr", "ghcr.io", "start")
        wait(lambda: reader.password_for("ghcr.io/a") == "start")
        user = writer.call("POST", "users", json={"name": "bot", "role": "puller"}).json()["id"]
        for number in range(changes):
            password = f"rotated-{number}"
            creds = {"username": "bot", "password": password}
            writer.call("PATCH", "registries/ghcr", json={"creds": creds})
            found["rotation"].append(
                wait(lambda password=password: reader.password_for("ghcr.io/a") == password)  # type: ignore[misc]
            )
            definition = {"id": f"t{number}", "type": "static"}
            made = writer.call("POST", f"/users/{user}/tokens", json=definition)
            with ApiClient(two, made.json()["token"]) as bot:
                bot.call("GET", "registries")
                writer.call("DELETE", f"/users/{user}/tokens/t{number}")
                found["revocation"].append(
                    wait(lambda bot=bot: bot.call("GET", "registries").status_code == 401)  # type: ignore[misc]
                )
    return found


def main() -> None:
    changes = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    folder = Path(tempfile.mkdtemp(prefix="pullpass-bench-"))
    cluster_folder = Path(tempfile.mkdtemp(prefix="pullpass-bench-pg-"))
    cluster = PostgresCluster(cluster_folder)
    try:
        found = measure(cluster, folder, changes)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder)
        shutil.rmtree(cluster_folder)
    result = {
        name: {"median_ms": round(statistics.median(times)), "max_ms": round(max(times))}
        for name, times in found.items()
    }
    for name, figures in result.items():
        print(f"{name:<12} median {figures['median_ms']} ms, longest {figures['max_ms']} ms")
    print(json.dumps({"changes": changes, **result}))


if __name__ == "__main__":
    main()
