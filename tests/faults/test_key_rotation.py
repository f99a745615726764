"""A new master key under load, and a rotation that is killed."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from pullpass.sealing.key_homes import FileHome, HomeMasterKey
from pullpass.sealing.keyring import Keyring, Place
from pullpass.sealing.keyset import Keyset, sealed_by
from pullpass.store.engine import Database
from pullpass.store.keys import KeyStore
from tests.faults.conftest import Say
from tests.parts.api_client import ApiClient, eventually
from tests.parts.load import Load
from tests.parts.server import (
    PullpassServer,
    clean_environment,
    initialize,
    installed,
    key_states,
    pullpass_server,
    run_local,
)
from tests.store.values import NOW

ORGANIZATIONS = 60


def test_a_rotation_fails_no_call_and_needs_no_restart(tmp_path: Path, say: Say) -> None:
    data = tmp_path / "data"
    with pullpass_server(data) as server:
        with Load([server], pause=0.02) as load:
            load.wait_for(20)
            shutil.copy(data / "master.key", tmp_path / "old.key")
            assert key_states(data) == [["in use", "3"]]
            rotated = run_local(data, "keys", "rotate")
            assert rotated.returncode == 0, rotated.stderr
            assert "Wrapped anew: 3." in rotated.stdout
            assert key_states(data) == [["old", "0"], ["in use", "3"]]
            token = create_in_another_organization(server)
            assert key_states(data) == [["old", "0"], ["in use", "4"]]
            assert run_local(data, "keys", "retire").returncode == 0
            load.wait_for(20)
        assert set(load.book.outcomes) <= {"200", "201", "204"}, load.book.told()
        assert key_states(data) == [["in use", "4"]]
        server.restart()
        with ApiClient(server) as client:
            load.book.check(client)
        load.book.check_log(server)
        server.organization = "globex"
        with ApiClient(server, token) as client:
            assert client.password_for("quay.io/app") == "other"
    assert run_local(data, "audit", "verify").returncode == 0
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600
    old = run_local(
        data, "keys", "status", env={"PULLPASS_MASTER_KEY_FILE": str(tmp_path / "old.key")}
    )
    assert old.returncode == 1
    assert "is not the one that this database is sealed with" in old.stderr
    say(f"keys rotate and keys retire under load: no call failed ({load.book.told()})")


def create_in_another_organization(server: PullpassServer) -> str:
    """Its data key is made by the server that was started with the old key alone."""
    token = initialize(server.data_dir, "globex", env={})
    server.organization = "globex"
    with ApiClient(server, token) as client:
        assert client.create("quay", "quay.io", "other").status_code == 201
    server.organization = "acme"
    return token


def test_a_rotation_that_is_killed_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data, "acme", env={})
    sealed = asyncio.run(fill(data))
    before = Keyset.parse((data / "master.key").read_text(), "test").primary
    rotation = subprocess.Popen(
        [installed("pullpass"), "keys", "rotate", "--data-dir", str(data)],
        env=clean_environment({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with closing(sqlite3.connect(data / "pullpass.db", timeout=10)) as database:

        def begun() -> bool:
            found = database.execute("SELECT wrapped FROM data_keys").fetchall()
            return any(sealed_by(wrapped) != before for (wrapped,) in found)

        eventually(begun, True, seconds=60)
        rotation.kill()
        rotation.wait()
    asyncio.run(all_open(data, sealed))
    assert run_local(data, "audit", "verify", "--org", "acme").returncode == 0

    assert run_local(data, "keys", "rotate").returncode == 0
    assert key_states(data) == [["old", "0"], ["in use", str(ORGANIZATIONS + 2)]]
    assert run_local(data, "keys", "retire").returncode == 0
    asyncio.run(all_open(data, sealed))


async def fill(data: Path) -> dict[str, bytes]:
    """A sealed value in each of many organizations."""
    with closing(sqlite3.connect(data / "pullpass.db")) as connection, connection:
        names = [f"org{number}" for number in range(ORGANIZATIONS)]
        connection.executemany(
            "INSERT INTO organizations VALUES (?, 'x', 0, 'x')", [(name,) for name in names]
        )
    database = await Database.open(f"sqlite:///{data}/pullpass.db")
    key = HomeMasterKey(FileHome(data / "master.key"))
    keyring = Keyring(key, KeyStore(database))
    sealed = {
        name: await keyring.seal(Place(name, "r", "creds"), name.encode(), now=NOW)
        for name in names
    }
    await database.close()
    return sealed


async def all_open(data: Path, sealed: dict[str, bytes]) -> None:
    database = await Database.open(f"sqlite:///{data}/pullpass.db")
    key = HomeMasterKey(FileHome(data / "master.key"))
    keyring = Keyring(key, KeyStore(database))
    for name, value in sealed.items():
        assert await keyring.open(Place(name, "r", "creds"), value) == name.encode()
    await database.close()
