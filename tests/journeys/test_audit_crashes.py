"""A server killed under load has logged every credential that it handed out."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from pathlib import Path

import httpx
import pytest

from tests.parts.api_client import ApiClient, eventually
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, clean_environment, installed, pullpass_server

KILLS = 5
READERS = 6
ANSWERS_BEFORE_A_KILL = 60


class Readers:
    """Ask for a credential as fast as they get one, and note the ids of what was answered."""

    def __init__(self, server: PullpassServer) -> None:
        self._server = server
        self._stopping = threading.Event()
        self.answered: set[str] = set()
        self._threads = [threading.Thread(target=self._read) for _ in range(READERS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self._server.admin_token}"}
        path = f"{self._server.url}/orgs/acme/image-creds?image=ghcr.io/acme/app"
        with httpx.Client(headers=headers, timeout=10) as http:
            while not self._stopping.is_set():
                request_id = uuid.uuid4().hex
                try:
                    answer = http.get(path, headers={"X-Request-Id": request_id})
                except httpx.HTTPError:
                    # Killed, or not yet back: what was not answered may or may not be logged.
                    self._stopping.wait(0.02)
                    continue
                if answer.status_code == 200:
                    self.answered.add(request_id)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_answered_credential_is_in_a_log_that_is_whole(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    env = {}
    if kind == "postgresql":
        cluster: PostgresCluster = request.getfixturevalue("cluster")
        env["PULLPASS_DATABASE"] = cluster.url(cluster.create_database())
    with pullpass_server(tmp_path / "data", env=env) as server:
        with ApiClient(server) as client:
            client.create("ghcr", "ghcr.io/acme")
        with Readers(server) as readers:
            for _ in range(KILLS):
                goal = len(readers.answered) + ANSWERS_BEFORE_A_KILL
                eventually(lambda goal=goal: len(readers.answered) >= goal, True, seconds=60)  # type: ignore[misc]
                server.kill()
                server.start()
        exported = server.cli("audit", "export")
        assert exported.returncode == 0, exported.stderr
        entries = [json.loads(line) for line in exported.stdout.splitlines()]
        logged = {each["request_id"] for each in entries if each["action"] == "credential.read"}
        assert len(readers.answered) >= KILLS * ANSWERS_BEFORE_A_KILL
        assert readers.answered - logged == set()
        assert [each["sequence"] for each in entries] == list(range(1, len(entries) + 1))
        verified = subprocess.run(
            [installed("pullpass"), "audit", "verify", "--data-dir", str(tmp_path / "data")],
            env=clean_environment(env),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (verified.returncode, verified.stderr) == (0, "")
        assert verified.stdout.startswith(f"acme: whole. Entries: 1 to {len(entries)}.")
