"""``pullpass keys``: what each step says and changes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.parts.server import clean_environment, initialize, installed

ORGANIZATIONS = 60


def run(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed("pullpass"), *arguments, "--data-dir", str(data_dir)],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


def states(data_dir: Path) -> list[list[str]]:
    """The state of each key, and how much it has wrapped."""
    done = run(data_dir, "keys", "status")
    assert done.returncode == 0, done.stderr
    return [line.split(maxsplit=1)[1].rsplit(maxsplit=1) for line in done.stdout.splitlines()[2:]]


def test_servers_with_copies_of_the_file_get_the_key_before_it_is_used(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.key"
    initialize(data, "acme", env={})
    assert run(data, "keys", "add").returncode == 0
    assert run(data, "keys", "add").returncode == 0
    assert states(data) == [["in use", "2"], ["waits", "0"]]
    early = run(data, "keys", "retire")
    assert early.returncode == 2
    assert "run 'pullpass keys rotate' first" in early.stderr
    shutil.copy(data / "master.key", copy)
    assert run(data, "keys", "rotate").returncode == 0
    with_copy = run(data, "audit", "verify", PULLPASS_MASTER_KEY_FILE=str(copy))
    assert with_copy.returncode == 0, with_copy.stderr


def test_a_key_in_the_environment_is_not_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data, "acme", env={})
    key = (data / "master.key").read_text()
    done = run(data, "keys", "rotate", PULLPASS_MASTER_KEY=key)
    assert done.returncode == 2
    assert "put it into a file" in done.stderr
    for secret in json.loads(key)["key"]:
        assert secret["keyData"]["value"] not in done.stderr


def test_no_key_is_printed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data, "acme", env={})
    printed = ""
    values = set[str]()
    for step in ("status", "add", "rotate", "retire", "status"):
        done = run(data, "keys", step)
        printed += done.stdout + done.stderr
        keyset = json.loads((data / "master.key").read_text())
        values |= {each["keyData"]["value"] for each in keyset["key"]}
    assert len(values) == 2
    assert not any(value in printed for value in values)
