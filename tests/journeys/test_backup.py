"""``pullpass backup`` and ``restore``, from one kind of database to the other."""

from __future__ import annotations

import gzip
import json
import shutil
import stat
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.parts.api_client import ApiClient
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, clean_environment, installed, pullpass_server


def run(
    *arguments: str, data_dir: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed("pullpass"), *arguments, "--data-dir", str(data_dir)],
        env=clean_environment(env or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def settings(kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    if kind == "sqlite":
        return {}
    found: PostgresCluster = request.getfixturevalue("cluster")
    return {"PULLPASS_DATABASE": found.url(found.create_database())}


def fill(server: PullpassServer, count: int) -> None:
    with ApiClient(server) as client:
        for number in range(count):
            assert client.create(f"reg{number}", f"reg{number}.io", f"p{number}").status_code == 201


@pytest.mark.parametrize(
    ("source", "target"),
    [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite")],
)
def test_what_is_backed_up_while_serving_is_all_there_after_restoring(
    source: str, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file, old, new = tmp_path / "backup", tmp_path / "old", tmp_path / "new"
    env = settings(source, request)
    with pullpass_server(old, env=env) as server:
        fill(server, 20)
        stop = threading.Event()

        def write() -> None:
            with ApiClient(server) as client:
                number = 0
                while not stop.is_set():
                    client.create(f"late{number}", f"late{number}.io")
                    number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            done = run("backup", str(file), data_dir=old, env=env)
        finally:
            stop.set()
            writer.join()
        assert done.returncode == 0, done.stderr
        assert "The master key is not in it" in done.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        token = server.admin_token

    new.mkdir()
    shutil.copy(old / "master.key", new / "master.key")
    there = settings(target, request)
    restored = run("restore", str(file), data_dir=new, env=there)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert "The master key that is here opens it." in restored.stdout
    verified = run("audit", "verify", data_dir=new, env=there)
    assert verified.returncode == 0, verified.stdout
    with pullpass_server(new, env=there, admin_token=token) as server, ApiClient(server) as client:
        for number in range(20):
            assert client.password_for(f"reg{number}.io/app") == f"p{number}"
        assert client.create("more", "more.io", "new").status_code == 201
        assert client.password_for("more.io/app") == "new"


@pytest.fixture
def backed_up(tmp_path: Path) -> Path:
    with pullpass_server(tmp_path / "data") as server:
        fill(server, 1)
    file = tmp_path / "backup"
    assert run("backup", str(file), data_dir=tmp_path / "data").returncode == 0
    return file


def test_no_file_and_no_database_is_overwritten(backed_up: Path, tmp_path: Path) -> None:
    before = backed_up.read_bytes()
    done = run("backup", str(backed_up), data_dir=tmp_path / "data")
    assert (done.returncode, backed_up.read_bytes()) == (2, before)
    assert "is there already" in done.stderr
    done = run("restore", str(backed_up), data_dir=tmp_path / "data")
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
    for number, (name, content) in enumerate(damaged.items()):
        file, data = tmp_path / "damaged", tmp_path / f"data{number}"
        file.write_bytes(content)
        done = run("restore", str(file), data_dir=data)
        assert done.returncode == 2, name
        assert "Traceback" not in done.stderr, name
        again = run("restore", str(backed_up), data_dir=data)
        assert again.returncode == 0, (name, again.stderr)
        assert "There is no master key here" in again.stderr


def test_a_backup_of_a_newer_version_is_refused(backed_up: Path, tmp_path: Path) -> None:
    lines = gzip.decompress(backed_up.read_bytes()).splitlines(keepends=True)
    header = json.loads(lines[0]) | {"schema": "9999"}
    backed_up.write_bytes(gzip.compress(json.dumps(header).encode() + b"\n" + b"".join(lines[1:])))
    done = run("restore", str(backed_up), data_dir=tmp_path / "new")
    assert done.returncode == 1
    assert "restore it with the version that it is from" in done.stderr


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data"):
        pass
    for command in ("backup", "restore"):
        file = tmp_path / "no" / "such" / "folder"
        done = run(command, str(file), data_dir=tmp_path / ("data" if command == "backup" else "x"))
        assert done.returncode == 2
        assert "No such file or directory" in done.stderr
