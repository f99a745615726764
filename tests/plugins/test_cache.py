"""The credential helper's cache: what it keeps, for whom, and when it does not trust it."""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullpass.plugins import cache
from tests.parts.wire import Scripted, WireServer, answer, refusal, wire_server
from tests.plugins.helper import MISS, TOKEN, helper, settings

FOUND = {"id": "ghcr", "registry": "ghcr.io", "type": "basic", "username": "u", "password": "p1"}
CANARY = "canary-" + "x" * 24


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    return folder


def env(server: WireServer, runtime: Path, **more: str) -> dict[str, str]:
    return settings(server.url, **({"XDG_RUNTIME_DIR": str(runtime)} | more))


def ask(env: dict[str, str], host: str = "ghcr.io") -> subprocess.CompletedProcess[str]:
    return helper("get", stdin=host, env=env)


def entries(runtime: Path) -> list[Path]:
    return [path for path in (runtime / "pullpass").glob("*") if path.name != "lock"]


def test_the_second_pull_asks_nobody(runtime: Path) -> None:
    with wire_server(answer(FOUND)) as server:
        first = ask(env(server, runtime))
        second = ask(env(server, runtime))
        assert len(server.requests) == 1
    # Nor is the server needed.
    third = ask(env(server, runtime))
    assert first.stdout == second.stdout == third.stdout
    assert (first.returncode, third.returncode, third.stderr) == (0, 0, "")
    folder = runtime / "pullpass"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_each_question_has_an_answer_of_its_own(runtime: Path, tmp_path: Path) -> None:
    with wire_server(answer(FOUND)) as server:
        same = env(server, runtime)
        other = server.url.replace("127.0.0.1", "localhost")
        for different in (
            same,
            same | {"PULLPASS_TOKEN": "ppt_another"},
            same | {"PULLPASS_ORG": "other"},
            same | {"PULLPASS_URL": other},
        ):
            ask(different)
        ask(same, "ghcr.io/")
        assert len(server.requests) == 5


def test_a_token_that_was_changed_in_its_file_reads_nothing_of_the_old(
    runtime: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    with wire_server(answer(FOUND), refusal(401, "unauthenticated", "No.")) as server:
        given = env(server, runtime, PULLPASS_TOKEN="", PULLPASS_TOKEN_FILE=str(file))
        file.write_text(TOKEN)
        assert ask(given).returncode == 0
        file.write_text("ppt_stolen")
        assert "check PULLPASS_TOKEN_FILE" in ask(given).stdout


def test_a_login_into_the_keyring_reads_nothing_of_the_old(runtime: Path, tmp_path: Path) -> None:
    config = tmp_path / "pullpass" / "config.toml"
    config.parent.mkdir()
    keyring = tmp_path / "secret-tool"
    keyring.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\nprintf {TOKEN}\n")
    keyring.chmod(0o755)
    with wire_server(answer(FOUND)) as server:
        given = settings(
            "",
            XDG_CONFIG_HOME=str(tmp_path),
            XDG_RUNTIME_DIR=str(runtime),
            PATH=f"{tmp_path}:/usr/bin:/bin",
            PULLPASS_TOKEN="",
        )
        for rewritten in (True, False, True):
            if rewritten:
                new = config.with_suffix(".new")
                new.write_text(f'url = "{server.url}"\norg = "acme"\ntoken_store = "keyring"\n')
                new.rename(config)
            assert ask(given).returncode == 0
        assert len(server.requests) == 2
    assert (tmp_path / "asked").read_text().count("asked") == 2


@pytest.mark.parametrize(
    "off", [{"PULLPASS_CACHE": "off"}, {"XDG_CONFIG_HOME": "{config}"}], ids=["variable", "file"]
)
def test_it_can_be_switched_off(runtime: Path, tmp_path: Path, off: dict[str, str]) -> None:
    (tmp_path / "pullpass").mkdir()
    (tmp_path / "pullpass" / "config.toml").write_text("cache = false\n")
    more = {name: value.format(config=tmp_path) for name, value in off.items()}
    with wire_server(answer(FOUND)) as server:
        ask(env(server, runtime, **more))
        ask(env(server, runtime, **more))
        assert len(server.requests) == 2
        if "XDG_CONFIG_HOME" in off:
            ask(env(server, runtime, PULLPASS_CACHE="on", **more))
            ask(env(server, runtime, PULLPASS_CACHE="on", **more))
            assert len(server.requests) == 3
        wrong = ask(env(server, runtime, PULLPASS_CACHE="maybe"))
    assert wrong.stdout.endswith("PULLPASS_CACHE is neither 'on' nor 'off'\n")


def expiring(seconds: float) -> Scripted:
    moment = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
    return answer(FOUND | {"expires": moment.isoformat(timespec="milliseconds") + "Z"})


@pytest.mark.parametrize(
    ("script", "requests"),
    [
        (expiring(43_200), 1),
        (expiring(30), 2),
        (expiring(-30), 2),
        (answer(FOUND | {"expires": "tomorrow"}), 2),
        (answer(FOUND | {"expires": None}), 1),
        (refusal(404, "no_match", "None."), 2),
        (refusal(503, "unavailable", "Starting."), 2),
        (answer({"registry": "ghcr.io", "type": "public"}), 2),
    ],
    ids=["hours", "ends soon", "ended", "no time", "never", "none here", "failure", "public"],
)
def test_what_is_kept(runtime: Path, script: Scripted, requests: int) -> None:
    with wire_server(script) as server:
        first, second = ask(env(server, runtime)), ask(env(server, runtime))
        assert len(server.requests) == requests
    assert (first.returncode, first.stdout) == (second.returncode, second.stdout)
    assert len(entries(runtime)) == (1 if requests == 1 else 0)


def test_an_entry_has_its_time(runtime: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    kept = cache.Cache(environ, ("q",))
    kept.write("the answer", None)
    assert cache.Cache(environ, ("q",)).read() == "the answer"
    (path,) = entries(runtime)
    seal, until, body = path.read_bytes().split(b"\n")
    for moment in (b"1", b"9999999999", until + b"0"):
        path.write_bytes(b"\n".join((seal, moment, body)))
        assert cache.Cache(environ, ("q",)).read() is None


def broken_entries(path: Path) -> list[bytes]:
    whole = path.read_bytes()
    return [b"", b"\n\n", whole[:-1], whole + b"x", whole.replace(b'"p1"', b'"p2"'), b"\xff" * 99]


def test_a_broken_entry_is_none(runtime: Path) -> None:
    with wire_server(answer(FOUND)) as server:
        good = ask(env(server, runtime)).stdout
        (path,) = entries(runtime)
        contents = broken_entries(path)
        for content in contents:
            path.write_bytes(content)
            assert ask(env(server, runtime)).stdout == good
        assert len(server.requests) == 1 + len(contents)


def test_what_others_can_reach_is_not_used(runtime: Path, tmp_path: Path) -> None:
    folder = runtime / "pullpass"
    with wire_server(answer(FOUND)) as server:
        ask(env(server, runtime))
        (path,) = entries(runtime)
        path.chmod(0o640)
        ask(env(server, runtime))
        assert len(server.requests) == 2, "a file that others can read"
        moved = path.rename(tmp_path / "moved")
        path.symlink_to(moved)
        ask(env(server, runtime))
        assert len(server.requests) == 3, "a link"
        folder.chmod(0o750)
        ask(env(server, runtime))
        assert len(server.requests) == 4, "a folder that others can read"
        folder.chmod(0o700)
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        ask(env(server, runtime))
        assert len(server.requests) == 5, "a folder that is a link"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(runtime: Path, tmp_path: Path) -> None:
    os.chown(runtime, 65534, 65534)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with wire_server(answer(FOUND)) as server:
        ask(env(server, runtime, HOME=str(home)))
        ask(env(server, runtime, HOME=str(home)))
        assert len(server.requests) == 1
    assert list(runtime.iterdir()) == []
    assert (home / ".cache" / "pullpass").is_dir()
    os.chown(home / ".cache" / "pullpass", 65534, 65534)
    with wire_server(answer(FOUND)) as server:
        ask(env(server, runtime, HOME=str(home)))
        ask(env(server, runtime, HOME=str(home)))
        assert len(server.requests) == 2


def test_pulls_at_one_time_ask_once(runtime: Path) -> None:
    with wire_server(answer(FOUND)) as server, ThreadPoolExecutor(8) as pool:
        done = list(pool.map(ask, [env(server, runtime)] * 8))
        assert len(server.requests) == 1
    assert {(one.returncode, one.stdout) for one in done} == {
        (0, '{"ServerURL": "ghcr.io", "Username": "u", "Secret": "p1"}\n')
    }


def test_nowhere_to_keep_it_is_no_failure(tmp_path: Path) -> None:
    with wire_server(answer(FOUND)) as server:
        for more in ({"HOME": ""}, {"HOME": "/proc/none"}, {"XDG_RUNTIME_DIR": "/dev/null"}):
            assert ask(settings(server.url, **more)).returncode == 0
        (tmp_path / "pullpass").write_text("a file")
        assert ask(env(server, tmp_path)).returncode == 0
        assert len(server.requests) == 4


def test_clear_removes_what_is_kept(runtime: Path, tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path)}
    assert cache.clear(environ) == 0
    with wire_server(answer(FOUND)) as server:
        ask(env(server, runtime))
        ask(env(server, runtime), "quay.io")
        assert cache.clear(environ) == 2
        assert entries(runtime) == []
        ask(env(server, runtime))
        assert len(server.requests) == 3


def test_old_entries_do_not_stay(runtime: Path) -> None:
    with wire_server(answer(FOUND)) as server:
        ask(env(server, runtime))
        (old,) = entries(runtime)
        os.utime(old, (1, 1))
        ask(env(server, runtime), "quay.io")
    assert old not in entries(runtime)
    assert len(entries(runtime)) == 1


def test_no_secret_comes_out_but_the_one_that_was_asked_for(runtime: Path) -> None:
    token = f"ppt_{CANARY}"
    with wire_server(answer(FOUND | {"password": CANARY + "-password"})) as server:
        given = env(server, runtime, PULLPASS_TOKEN=token)
        for _ in range(2):
            done = ask(given)
            assert CANARY not in done.stderr
            assert token not in done.stdout
        (path,) = entries(runtime)
        assert token.encode() not in path.read_bytes()
        assert CANARY not in path.name
        path.write_bytes(path.read_bytes()[:-2])
        broken = ask(given | {"PULLPASS_URL": "http://127.0.0.1:1"})
    assert broken.returncode == 1
    assert CANARY not in broken.stdout + broken.stderr
    assert MISS not in broken.stdout
