"""What ``pullpass backup`` and ``restore`` refuse, and say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.parts.api_client import ApiClient
from tests.parts.server import PullpassServer, pullpass_server, run_local


def fill(server: PullpassServer, count: int) -> None:
    with ApiClient(server) as client:
        for number in range(count):
            assert client.create(f"reg{number}", f"reg{number}.io", f"p{number}").status_code == 201


@pytest.fixture
def backed_up(tmp_path: Path) -> Path:
    with pullpass_server(tmp_path / "data") as server:
        fill(server, 1)
    file = tmp_path / "backup"
    assert run_local(tmp_path / "data", "backup", str(file)).returncode == 0
    return file


def test_no_file_and_no_database_is_overwritten(backed_up: Path, tmp_path: Path) -> None:
    before = backed_up.read_bytes()
    done = run_local(tmp_path / "data", "backup", str(backed_up))
    assert (done.returncode, backed_up.read_bytes()) == (2, before)
    assert "is there already" in done.stderr
    done = run_local(tmp_path / "data", "restore", str(backed_up))
    assert done.returncode == 5
    assert "The database is not empty" in done.stderr
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup"]


def test_a_damaged_backup_restores_nothing(backed_up: Path, tmp_path: Path) -> None:
    lines = gzip.decompress(backed_up.read_bytes()).splitlines(keepends=True)
    altered = [line.replace(b"reg0.io", b"regx.io") for line in lines]
    damaged = {
        "no gzip": b"hello",
        "cut off": backed_up.read_bytes()[:-20],
        "empty": gzip.compress(b""),
        "without its end": gzip.compress(b"".join(lines[:-1])),
        "a row less": gzip.compress(b"".join(lines[:20] + lines[21:])),
        "altered": gzip.compress(b"".join(altered)),
        "something else": gzip.compress(b'{"a": 1}\n'),
    }
    file, data = tmp_path / "damaged", tmp_path / "new"
    for name, content in damaged.items():
        file.write_bytes(content)
        done = run_local(data, "restore", str(file))
        assert done.returncode == 2, name
        assert "Traceback" not in done.stderr, name
    # Only an empty database is restored into: none of them left anything.
    again = run_local(data, "restore", str(backed_up))
    assert again.returncode == 0, again.stderr
    assert "There is no master key here" in again.stderr


def test_a_backup_of_a_newer_version_is_refused(backed_up: Path, tmp_path: Path) -> None:
    lines = gzip.decompress(backed_up.read_bytes()).splitlines(keepends=True)
    header = json.loads(lines[0]) | {"schema": "9999"}
    backed_up.write_bytes(gzip.compress(json.dumps(header).encode() + b"\n" + b"".join(lines[1:])))
    done = run_local(tmp_path / "new", "restore", str(backed_up))
    assert done.returncode == 1
    assert "restore it with the version that it is from" in done.stderr


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data"):
        pass
    for command in ("backup", "restore"):
        file = tmp_path / "no" / "such" / "folder"
        done = run_local(tmp_path / ("data" if command == "backup" else "x"), command, str(file))
        assert done.returncode == 2
        assert "No such file or directory" in done.stderr
