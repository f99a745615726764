"""``pullpass login`` and ``logout``: what is kept, where, and for whom."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Done
from tests.parts.server import PullpassServer, clean_environment, installed
from tests.parts.tools import require_tool
from tests.test_secrets_never_leak import assert_absent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".config" / "pullpass"


@pytest.fixture
def run(command: Command, pullpass: PullpassServer) -> Command:
    """Without settings in the environment; no output ever has the token."""

    def execute(*arguments: str, stdin: str = "", **settings: str) -> Done:
        done = command(*arguments, stdin=stdin, **settings)
        assert_absent(done.out + done.err, "the output", (pullpass.admin_token,))
        return done

    return execute


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()} if folder.exists() else {}


def test_a_login_is_all_that_the_commands_and_the_helper_need(
    run: Command, pullpass: PullpassServer, folder: Path, tmp_path: Path
) -> None:
    done = run("login", f"{pullpass.url}/", stdin=f"{pullpass.admin_token}\n")
    assert (done.code, done.out) == (
        0,
        f"Logged in to {pullpass.url} as admin, admin of acme.\n",
    )
    assert f"The token is in {folder}/token" in done.err
    assert content(folder) == {
        "config.toml": "# Written by pullpass login.\n"
        f'url = "{pullpass.url}"\norg = "acme"\ntoken_file = "token"\n',
        "token": pullpass.admin_token,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}

    assert run("whoami").code == 0
    assert run("registry", "list").code == 0
    helper = subprocess.run(
        [installed("docker-credential-pullpass"), "list"],
        env={"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert helper.returncode == 0, helper.stdout
    # What is set by hand goes first.
    assert run("whoami", token="ppt_wrong").code == 3
    assert run("--org", "other", "registry", "list").code == 4
    elsewhere = run("--url", "http://127.0.0.1:1", "whoami")
    assert (elsewhere.code, elsewhere.out) == (2, "")
    assert "its token is not sent to http://127.0.0.1:1" in elsewhere.err

    assert run("logout").out == f"Logged out of {pullpass.url}.\n"
    assert content(folder) == {}
    again = run("logout")
    assert (again.code, again.out, again.err) == (0, "", "Nobody is logged in here.\n")
    assert "pullpass login" in run("whoami").err


def test_a_second_login_replaces_the_first_and_keeps_what_a_person_set(
    run: Command, pullpass: PullpassServer, folder: Path
) -> None:
    assert run("login", pullpass.url, stdin=pullpass.admin_token).code == 0
    config = folder / "config.toml"
    config.write_text(config.read_text() + "timeout = 7\ncache = false\n")
    user = json.loads(run("user", "create", "reads", "--role", "reader", "-o", "json").out)["id"]
    token = pullpass.cli("token", "create", "t", "--user", user).stdout.strip()
    # The server is known by now.
    done = run("login", stdin=token)
    assert done.out == f"Logged in to {pullpass.url} as reads, reader of acme.\n"
    assert content(folder)["token"] == token
    assert content(folder)["config.toml"].endswith("timeout = 7\ncache = false\n")


def test_a_refused_login_changes_nothing(
    run: Command, pullpass: PullpassServer, folder: Path, tmp_path: Path
) -> None:
    good = pullpass.admin_token
    for arguments, stdin, code, words in (
        ((pullpass.url,), good[:-1] + ("a" if good[-1] != "a" else "b"), 3, "malformed"),
        ((pullpass.url,), "", 2, "empty"),
        ((pullpass.url, "--org", "rival"), good, 2, "'rival'"),
        (("http://127.0.0.1:1",), good, 7, "No answer"),
        (("ftp://x",), good, 2, "ftp"),
        ((), good, 2, "Which server?"),
    ):
        done = run("login", *arguments, stdin=stdin)
        assert (done.code, done.out) == (code, ""), arguments
        assert words in done.err
    assert not folder.exists()

    assert run("login", pullpass.url, stdin=good).code == 0
    before = content(folder)
    assert run("login", stdin="ppt_wrong").code == 3
    assert content(folder) == before
    (folder / "config.toml").write_text("url = [")
    assert "is not TOML" in run("whoami").err
    assert run("login", pullpass.url, stdin=good).code == 0
    assert content(folder) == before
    (tmp_path / "home").rename(tmp_path / "away")
    (tmp_path / "home").write_text("a file")
    assert run("login", pullpass.url, stdin=good).code == 1


def test_the_environment_is_told_to_go_first(run: Command, pullpass: PullpassServer) -> None:
    done = run("login", stdin=pullpass.admin_token, url=pullpass.url, token="ppt_other")
    assert done.code == 0
    assert "PULLPASS_URL in the environment goes before" in done.err
    assert "PULLPASS_TOKEN in the environment goes before" in done.err


def test_a_keyring_keeps_the_token(pullpass: PullpassServer, tmp_path: Path) -> None:
    """A real Secret Service on a bus of its own; the arguments of secret-tool are written down."""
    session = require_tool("dbus-run-session", "apt-get install dbus")
    require_tool("gnome-keyring-daemon", "apt-get install gnome-keyring")
    secret_tool = require_tool("secret-tool", "apt-get install libsecret-tools")
    home, runtime, tools = (tmp_path / name for name in ("home", "run", "bin"))
    for folder in (home, runtime, tools):
        folder.mkdir(mode=0o700)
    (tools / "secret-tool").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {secret_tool} "$@"\n'
    )
    (tools / "secret-tool").chmod(0o700)
    (tmp_path / "token").write_text(pullpass.admin_token)
    script = tmp_path / "script"
    config = home / ".config" / "pullpass"
    script.write_text(f"""
        set -e
        printf unlock | gnome-keyring-daemon --unlock --components=secrets > /dev/null
        pullpass login {pullpass.url} < {tmp_path}/token
        cat {config}/config.toml
        test ! -e {config}/token
        pullpass whoami
        docker-credential-pullpass list > /dev/null
        pullpass login --no-keyring < {tmp_path}/token
        test -e {config}/token
        pullpass login < {tmp_path}/token
        test ! -e {config}/token
        pullpass logout
        pullpass whoami || true
        secret-tool search --all service pullpass
        echo END
    """)
    path = os.pathsep.join(
        [str(tools), str(Path(installed("pullpass")).parent), os.environ["PATH"]]
    )
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "PATH": path}
    done = subprocess.run(
        [session, "--", "sh", str(script)],
        env={**clean_environment({}), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert 'token_store = "keyring"' in done.stdout
    assert "Role in /orgs/acme  admin" in done.stdout
    # After the logout, and with nothing in the keyring.
    assert done.stdout.endswith(f"Logged out of {pullpass.url}.\nEND\n")
    assert_absent(done.stdout + done.stderr, "the output", (pullpass.admin_token,))
    arguments = (tmp_path / "arguments").read_text()
    assert "store --label=" in arguments
    assert_absent(arguments, "the arguments of secret-tool", (pullpass.admin_token,))
