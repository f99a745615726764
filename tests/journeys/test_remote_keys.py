"""A master key that is wrapped by AWS KMS or by Vault's transit engine: from the first start on,
through rotations, outages and moves.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pullpass.cli import main
from tests.parts.api_client import ApiClient
from tests.parts.aws import SECRET_ACCESS_KEY, Aws
from tests.parts.kms import KmsKeys, identity
from tests.parts.openbao import openbao
from tests.parts.process import Process
from tests.parts.server import (
    PullpassServer,
    clean_environment,
    initialize,
    installed,
    pullpass_server,
)


@dataclass(frozen=True, slots=True)
class Remote:
    """A service with a key: ``env`` are the settings that name it, ``secret`` is what lets a server
    in; while ``away()`` lasts it answers nobody.
    """

    uri: str
    env: Mapping[str, str]
    secret: str
    away: Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def kms(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with Aws(moto) as aws:

        @contextmanager
        def away() -> Iterator[None]:
            aws.stop()
            try:
                yield
            finally:
                aws.start()

        uri = f"aws-kms://{KmsKeys(moto).create()}"
        env = {
            **identity(tmp_path_factory.mktemp("identity")),
            "PULLPASS_MASTER_KEY_URI": uri,
            "PULLPASS_KMS_ENDPOINT": aws.url,
        }
        yield Remote(uri, env, SECRET_ACCESS_KEY, away)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("openbao")
    with openbao(folder) as server:
        token = server.token()
        (folder / "token").write_text(token)
        env = {
            "PULLPASS_MASTER_KEY_URI": server.uri,
            "PULLPASS_VAULT_TOKEN_FILE": str(folder / "token"),
            "PULLPASS_VAULT_CA_FILE": str(server.ca),
        }
        yield Remote(server.uri, env, token, server.sealed)


@pytest.fixture(params=["kms", "vault"])
def remote(request: pytest.FixtureRequest) -> Remote:
    found: Remote = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True, slots=True)
class Done:
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``pullpass ARGUMENTS`` on a data directory, with these settings alone."""

    def execute(data: Path, *arguments: str, env: Mapping[str, str], code: int = 0) -> Done:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PULLPASS_")]:
                patch.delenv(name)
            for name, value in env.items():
                patch.setenv(name, value)
            capsys.readouterr()
            ended = main.run([*arguments, "--data-dir", str(data)])
        captured = capsys.readouterr()
        assert ended == code, captured.out + captured.err
        return Done(captured.out, captured.err)

    return execute


def opens(server: PullpassServer, password: str) -> None:
    with ApiClient(server) as client:
        assert client.password_for("ghcr.io/app") == password


def wrapped_keysets(data: Path) -> list[bytes]:
    query = "SELECT value FROM settings WHERE name LIKE 'master_keyset/%' ORDER BY name"
    with closing(sqlite3.connect(data / "pullpass.db")) as database:
        return [value for (value,) in database.execute(query)]


def test_the_service_is_needed_to_start_and_for_nothing_else(
    remote: Remote, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with pullpass_server(data, env=remote.env) as server:
        assert not (data / "master.key").exists()
        with ApiClient(server) as client:
            client.create("ghcr", "ghcr.io", "stored-canary-1")
        token = initialize(data, "globex", env=remote.env)
        with remote.away():
            opens(server, "stored-canary-1")
            # A data key is made for the new organization, wrapped by the master key in memory.
            server.organization = "globex"
            with ApiClient(server, token) as client:
                assert client.create("quay", "quay.io", "other").status_code == 201
            server.organization = "acme"
            server.stop()
            waiting = Process(
                [installed("pullpass"), "serve", "--data-dir", str(data)],
                stdout=tmp_path / "waiting.log",
                env=clean_environment(remote.env),
            )
            waiting.wait_until(lambda: "waiting 2 s for the master key" in waiting.output())
            waiting.kill()
        server.start()
        opens(server, "stored-canary-1")
        server.stop()
        for text in (server.log_text(), waiting.output()):
            assert remote.secret not in text
            assert "canary" not in text


def test_it_is_rotated_and_wrapped_anew_while_servers_run(
    remote: Remote, tmp_path: Path, run: Run
) -> None:
    data, printed = tmp_path / "data", ""
    with pullpass_server(data, env=remote.env) as server:
        with ApiClient(server) as client:
            client.create("ghcr", "ghcr.io", "stored-canary-1")
        [first] = wrapped_keysets(data)
        for step in ("status", "rotate", "rewrap", "retire", "status"):
            done = run(data, "keys", step, env=remote.env)
            printed += done.out + done.err
            opens(server, "stored-canary-1")
        assert f"The master key is in the database, wrapped by {remote.uri}." in printed
        assert printed.count("in use") == 3
        # The key of an organization that comes now is made by the server that saw no restart.
        token = initialize(data, "globex", env=remote.env)
        server.organization = "globex"
        with ApiClient(server, token) as client:
            assert client.create("quay", "quay.io", "other").status_code == 201
        server.organization = "acme"
        assert " 0\n" not in run(data, "keys", "status", env=remote.env).out
        server.restart()
        opens(server, "stored-canary-1")
    assert wrapped_keysets(data) != [first]
    run(data, "audit", "verify", env=remote.env)
    run(data, "keys", "move", "--to-file", str(tmp_path / "clear.key"), env=remote.env)
    [key] = json.loads((tmp_path / "clear.key").read_text())["key"]
    for path in data.iterdir():
        assert key["keyData"]["value"].encode() not in path.read_bytes()
    assert remote.secret not in printed
    assert key["keyData"]["value"] not in printed + server.log_text()


def test_from_a_file_to_the_service_and_back(kms: Remote, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data"
    settings = {name: value for name, value in kms.env.items() if "MASTER_KEY" not in name}
    with pullpass_server(data, env=settings) as server:
        with ApiClient(server) as client:
            client.create("ghcr", "ghcr.io", "stored-canary-1")
        early = run(data, "keys", "status", env=kms.env, code=1)
        assert "pullpass keys move. Nothing was changed." in early.err
        moved = run(data, "keys", "move", "--to", kms.uri, env=settings)
        assert f"PULLPASS_MASTER_KEY_URI={kms.uri}" in moved.err
        run(data, "keys", "move", "--to", kms.uri, env=settings)
        # The server with the file goes on until it is started with the new setting.
        opens(server, "stored-canary-1")
        server.env = kms.env
        server.restart()
        run(data, "keys", "rotate", env=kms.env)
        run(data, "keys", "retire", env=kms.env)
        stale = run(data, "keys", "status", env=settings, code=1)
        assert "is not the one that this database is sealed with" in stale.err
        opens(server, "stored-canary-1")

        taken = run(
            *(data, "keys", "move", "--to-file", str(data / "master.key")), env=kms.env, code=2
        )
        assert "another master key" in taken.err
        (data / "master.key").unlink()
        run(data, "keys", "move", "--to-file", str(data / "master.key"), env=kms.env)
        assert (data / "master.key").stat().st_mode & 0o777 == 0o600
        server.env = settings
        server.restart()
        opens(server, "stored-canary-1")
    run(data, "keys", "rewrap", env=settings, code=2)


def test_what_was_wrapped_for_another_deployment_does_not_open(
    kms: Remote, tmp_path: Path, run: Run
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for data in (one, two):
        run(data, "init", "--org", "acme", env=kms.env)
    shutil.copy(two / "pullpass.db", tmp_path / "kept.db")
    [stolen] = wrapped_keysets(one)
    with closing(sqlite3.connect(two / "pullpass.db")) as database, database:
        database.execute(
            "UPDATE settings SET value = ? WHERE name LIKE 'master_keyset/%'", (stolen,)
        )
    refused = run(two, "keys", "status", env=kms.env, code=1)
    assert "another deployment" in refused.err
    shutil.copy(tmp_path / "kept.db", two / "pullpass.db")
    run(two, "keys", "status", env=kms.env)


def test_a_backup_is_opened_by_the_service(vault: Remote, tmp_path: Path, run: Run) -> None:
    data, new = tmp_path / "data", tmp_path / "new"
    run(data, "init", "--org", "acme", env=vault.env)
    kept = run(data, "backup", str(tmp_path / "backup"), env=vault.env)
    assert vault.uri in kept.err
    restored = run(new, "restore", str(tmp_path / "backup"), env=vault.env)
    assert "opens it" in restored.out


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, run: Run) -> None:
    uri = "aws-kms://arn:aws:kms:eu-west-1:123456789012:key/x"
    both = {"PULLPASS_MASTER_KEY_URI": uri, "PULLPASS_MASTER_KEY_FILE": "x"}
    assert "only one of them" in run(tmp_path, "keys", "status", env=both, code=2).err
    nothing = {"PULLPASS_MASTER_KEY_URI": "gcp-kms://x"}
    assert "hcvault://" in run(tmp_path, "keys", "status", env=nothing, code=2).err
