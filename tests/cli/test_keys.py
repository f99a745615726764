"""``pullpass keys``: what each step says and changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.parts.server import initialize, key_states, run_local


def test_servers_with_copies_of_the_file_get_the_key_before_it_is_used(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.key"
    initialize(data, "acme", env={})
    assert run_local(data, "keys", "add").returncode == 0
    assert run_local(data, "keys", "add").returncode == 0
    assert key_states(data) == [["in use", "2"], ["waits", "0"]]
    early = run_local(data, "keys", "retire")
    assert early.returncode == 2
    assert "run 'pullpass keys rotate' first" in early.stderr
    shutil.copy(data / "master.key", copy)
    assert run_local(data, "keys", "rotate").returncode == 0
    with_copy = run_local(data, "audit", "verify", env={"PULLPASS_MASTER_KEY_FILE": str(copy)})
    assert with_copy.returncode == 0, with_copy.stderr


def test_a_key_in_the_environment_is_not_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data, "acme", env={})
    key = (data / "master.key").read_text()
    done = run_local(data, "keys", "rotate", env={"PULLPASS_MASTER_KEY": key})
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
        done = run_local(data, "keys", step)
        printed += done.stdout + done.stderr
        keyset = json.loads((data / "master.key").read_text())
        values |= {each["keyData"]["value"] for each in keyset["key"]}
    assert len(values) == 2
    assert not any(value in printed for value in values)
