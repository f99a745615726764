"""Starting: the master key, the port, the database."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from pullpass.sealing import master_key
from tests.parts.api_client import eventually
from tests.parts.ports import free_port
from tests.parts.server import (
    PullpassServer,
    clean_environment,
    initialize,
    installed,
    pullpass_server,
    run_local,
    serve_on_socket,
)
from tests.plugins.helper import helper, settings


def serve(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`pullpass serve` where it is expected to give up at once."""
    return subprocess.run(
        [installed("pullpass"), "serve", "--data-dir", str(data_dir), *arguments],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def contents(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(data_dir.iterdir())}


def store_password(server: PullpassServer, password: str) -> None:
    done = server.cli(
        *("registry", "create", "ghcr", "--registry", "ghcr.io", "--type", "basic"),
        *("--username", "bot", "--password-stdin"),
        stdin=password,
    )
    assert done.returncode == 0, done.stderr


def stored_password(server: PullpassServer) -> str:
    done = server.cli("creds", "ghcr.io/acme/app", "--output", "json")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_start_makes_files_for_the_owner_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with pullpass_server(data_dir):
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        for name in ("master.key", "pullpass.db"):
            assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("case", ["missing", "another", "broken", "another in the environment"])
def test_without_its_master_key_a_database_is_neither_served_nor_changed(
    tmp_path: Path, case: str
) -> None:
    data_dir, kept = tmp_path / "data", tmp_path / "kept.key"
    with pullpass_server(data_dir) as server:
        store_password(server, "canary-88c1")
    shutil.copy(data_dir / "master.key", kept)
    env = {}
    match case:
        case "missing":
            (data_dir / "master.key").unlink()
        case "another":
            (data_dir / "master.key").write_text(master_key.generate())
        case "broken":
            (data_dir / "master.key").write_text("no key")
        case _:
            env["PULLPASS_MASTER_KEY"] = master_key.generate()
    before = contents(data_dir)

    refused = serve(data_dir, "--port", str(free_port()), **env)

    assert refused.returncode == 1
    assert "master key" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert contents(data_dir) == before

    shutil.copy(kept, data_dir / "master.key")
    with pullpass_server(data_dir, admin_token=server.admin_token) as again:
        assert "canary-88c1" in stored_password(again)


def test_the_master_key_can_come_from_the_environment_or_another_file(tmp_path: Path) -> None:
    data_dir, key = tmp_path / "data", master_key.generate()
    with pullpass_server(data_dir, env={"PULLPASS_MASTER_KEY": key}) as server:
        store_password(server, "canary-88c2")
    assert not (data_dir / "master.key").exists()
    elsewhere = tmp_path / "elsewhere.key"
    elsewhere.write_text(key)
    env = {"PULLPASS_MASTER_KEY_FILE": str(elsewhere)}
    with pullpass_server(data_dir, env=env, admin_token=server.admin_token) as again:
        assert "canary-88c2" in stored_password(again)
        environ = Path(f"/proc/{again.pid}/cmdline").read_bytes()
        assert b"primaryKeyId" not in environ


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "one") as server:
        initialize(tmp_path / "two", "acme", env={})
        refused = serve(tmp_path / "two", "--port", str(server.port))
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"pullpass: Cannot listen on 127.0.0.1 port {server.port}: Address already in use."
    ]


def test_a_database_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://pullpass:canary-77@127.0.0.1:{free_port()}/pullpass"
    refused = serve(tmp_path, "--port", str(free_port()), PULLPASS_DATABASE=url)
    assert refused.returncode == 7
    assert len(refused.stderr.splitlines()) == 1
    assert "canary-77" not in refused.stderr
    assert os.listdir(tmp_path) == []


def test_several_workers_serve_and_count_as_one(tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data", arguments=["--workers", "2"]) as server:
        store_password(server, "canary-88c3")
        for _ in range(20):
            assert server.cli("registry", "get", "ghcr").returncode == 0
        line = (
            'pullpass_http_requests_total{operation="getOrgsOrgIdRegistriesRegId",status="200"} 20'
        )
        # The other worker may not have counted yet what it has answered.
        eventually(lambda: line in httpx.get(f"{server.url}/metrics").text, True)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """The path of a socket may have about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="pp-") as folder:
        yield Path(folder)


def test_a_unix_socket_instead_of_a_port(tmp_path: Path, short_path: Path) -> None:
    token = initialize(tmp_path / "data", "acme", env={})
    path = short_path / "pullpass.sock"
    server = serve_on_socket(tmp_path / "data", path)
    try:
        second = serve(tmp_path / "data", "--socket", str(path))
        assert second.returncode == 1
        assert f"Cannot listen on {path}: a server listens there already." in second.stderr
        listed = helper("list", env=settings(f"unix://{path}", PULLPASS_TOKEN=token))
        assert (listed.returncode, listed.stdout) == (0, "{}\n")
        server.kill()
        # What a killed server leaves behind is in nobody's way.
        assert path.is_socket()
        server = serve_on_socket(tmp_path / "data", path)
        assert server.stop() == 0
        assert not path.exists()
    finally:
        server.kill()
    down = helper("list", env=settings(f"unix://{path}", PULLPASS_TOKEN=token))
    assert f"unix://{path} cannot be reached" in down.stdout


@pytest.mark.parametrize("name", ["a-file", "none/pullpass.sock", "x" * 120])
def test_a_socket_that_cannot_be_made(tmp_path: Path, short_path: Path, name: str) -> None:
    (short_path / "a-file").write_text("kept")
    initialize(tmp_path / "data", "acme", env={})
    done = serve(tmp_path / "data", "--socket", str(short_path / name))
    assert done.returncode == 1
    assert f"Cannot listen on {short_path / name}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (short_path / "a-file").read_text() == "kept"


def test_a_log_whose_key_is_gone_is_not_gone_on_with(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data, "acme", env={})
    with closing(sqlite3.connect(data / "pullpass.db")) as database, database:
        database.execute("DELETE FROM settings WHERE name = 'audit_key'")
    done = serve(data, "--port", str(free_port()))
    assert done.returncode == 1
    assert "the key that it was sealed with is gone" in done.stderr


def test_an_upgrade_begins_the_log_of_each_organization(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data, "acme", env={})
    with closing(sqlite3.connect(data / "pullpass.db")) as database, database:
        # As a version before the log has left it.
        for statement in (
            "DROP TABLE identities",
            "DROP TABLE check_runs",
            "DROP TABLE clusters",
            "DROP TABLE audit_entries",
            "DROP TABLE audit_chains",
            "DELETE FROM settings WHERE name = 'audit_key'",
            "UPDATE alembic_version SET version_num = '0005'",
        ):
            database.execute(statement)
    initialize(data, "globex", env={})
    with closing(sqlite3.connect(data / "pullpass.db")) as database:
        found = database.execute(
            "SELECT organization_id, action FROM audit_entries ORDER BY organization_id, sequence"
        ).fetchall()
    assert found == [
        ("acme", "audit.begin"),
        ("globex", "organization.create"),
        ("globex", "token.create"),
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "verify"),
        ("backup", "new.backup"),
        ("init", "--org", "acme", "--new-token"),
        ("keys", "status"),
        ("keys", "rotate"),
        ("keys", "retire"),
    ],
    ids=" ".join,
)
def test_a_mistyped_folder_is_told_and_not_set_up(command: tuple[str, ...], tmp_path: Path) -> None:
    """Else an empty audit log is whole, and another key than the server's is rotated."""
    done = run_local(tmp_path / "dta", *command)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"There is no database at {tmp_path}/dta/pullpass.db." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_nothing_was_set_up_in_is_told(tmp_path: Path) -> None:
    tmp_path.joinpath("pullpass.db").touch()
    done = run_local(tmp_path, "keys", "rotate")
    assert done.returncode == 4
    assert "The database holds no tables of Pullpass." in done.stderr
    assert not tmp_path.joinpath("master.key").exists()


@pytest.mark.parametrize("command", [("serve",), ("backup", "new.backup"), ("keys", "status")])
def test_a_database_that_is_none_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "pullpass.db"
    file.write_text("This is no database, but a text that somebody has saved under its name.")
    done = run_local(tmp_path, *command)
    assert done.returncode == 7
    assert f"is not a SQLite database. It should be in {file}.\n" in done.stderr
