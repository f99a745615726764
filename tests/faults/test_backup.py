"""``pullpass backup`` while clients write, and ``restore`` into another kind of database."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from tests.faults.conftest import Say
from tests.parts.api_client import ApiClient
from tests.parts.load import Load
from tests.parts.postgres import PostgresCluster
from tests.parts.server import pullpass_server, run_local

RECORDS = 20


def settings(kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    if kind == "sqlite":
        return {}
    found: PostgresCluster = request.getfixturevalue("cluster")
    return {"PULLPASS_DATABASE": found.url(found.create_database())}


@pytest.mark.parametrize(
    ("source", "target"),
    [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite")],
)
def test_what_is_backed_up_while_serving_is_all_there_after_restoring(
    source: str, target: str, tmp_path: Path, request: pytest.FixtureRequest, say: Say
) -> None:
    file, old, new = tmp_path / "backup", tmp_path / "old", tmp_path / "new"
    env = settings(source, request)
    with pullpass_server(old, env=env) as server:
        with ApiClient(server) as client:
            for number in range(RECORDS):
                client.create(f"reg{number}", f"reg{number}.io", f"p{number}")
        with Load([server], pause=0.02) as load:
            load.wait_for(20)
            done = run_local(old, "backup", str(file), env=env)
        assert done.returncode == 0, done.stderr
        assert "The master key is not in it" in done.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        token = server.admin_token

    new.mkdir()
    shutil.copy(old / "master.key", new / "master.key")
    there = settings(target, request)
    restored = run_local(new, "restore", str(file), env=there)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert "The master key that is here opens it." in restored.stdout
    verified = run_local(new, "audit", "verify", env=there)
    assert verified.returncode == 0, verified.stdout
    with pullpass_server(new, env=there, admin_token=token) as server, ApiClient(server) as client:
        for number in range(RECORDS):
            assert client.password_for(f"reg{number}.io/app") == f"p{number}"
        listed = client.call("GET", "registries").json()
        for record in listed:
            assert client.call("GET", f"registries/{record['id']}/creds").status_code == 200
        assert client.create("more", "more.io", "new").status_code == 201
        assert client.password_for("more.io/app") == "new"
    say(f"{len(listed)} records backed up under load ({load.book.told()}) open after restoring")
