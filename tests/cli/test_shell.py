"""How the program behaves as a process: start-up, pipes, Ctrl-C, a terminal, completion."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import click
import pytest

from pullpass.cli.exit_codes import ExitCode
from pullpass.cli.main import ENTRIES
from tests.cli.conftest import Command
from tests.parts.server import PullpassServer, clean_environment, installed
from tests.parts.wire import Scripted, answer, wire_server

SERVER_PACKAGES = {"starlette", "granian", "sqlalchemy", "msgspec", "tink", "structlog", "jinja2"}
SERVER_ROOMS = ("api", "broker", "domain", "exchange", "sealing", "server", "store", "web")


def settings(url: str) -> dict[str, str]:
    environment = clean_environment(
        {"PULLPASS_URL": url, "PULLPASS_ORG": "acme", "PULLPASS_TOKEN": "ppt_x"}
    )
    return {k: v for k, v in environment.items() if not k.lower().endswith("_proxy")}


def imported(*arguments: str, env: dict[str, str]) -> set[str]:
    """The modules that a command line has imported by its end."""
    code = (
        "import sys; from pullpass.cli.main import run; code = run(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["creds", "ghcr.io/a"], ["registry", "list"]])
def test_a_client_command_imports_nothing_of_the_server(arguments: list[str]) -> None:
    body = [] if "list" in arguments else {"registry": "ghcr.io"}
    with wire_server(answer(body)) as server:
        modules = imported(*arguments, env=settings(server.url))
    assert not SERVER_PACKAGES & modules
    assert not {f"pullpass.{room}" for room in SERVER_ROOMS} & modules
    assert ("httpx" in modules) == ("--help" not in arguments)


def test_help_without_the_extras_lists_all_and_a_command_says_what_it_needs(
    tmp_path: Path,
) -> None:
    # A stand-in for an installation without the extra: its packages cannot be found.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {(*SERVER_PACKAGES, 'lightkube')!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    env = clean_environment({"PYTHONPATH": str(tmp_path)})

    def pullpass(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed("pullpass"), *arguments],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "serve" in pullpass("--help").stdout
    for arguments in (["serve"], ["init", "--org", "acme"]):
        done = pullpass(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "pip install 'pullpass[server]'" in done.stderr
        assert done.stderr.count("\n") == 1
    done = pullpass("import", "kubernetes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'pullpass[kubernetes]'" in done.stderr


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_in_the_list_is_there_and_has_help(command: Command, name: str) -> None:
    module, _, attribute = ENTRIES[name].target.partition(":")
    assert isinstance(getattr(import_module(module), attribute), click.Command)
    done = command(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: pullpass {name} ")
    cut_off = [line for line in done.out.splitlines()[1:] if line.endswith("...")]
    assert cut_off == []


def test_the_exit_codes_are_in_the_help(command: Command) -> None:
    lines = [
        line.split(maxsplit=1)[0] for line in command("--help").out.splitlines() if line.strip()
    ]
    assert {str(code.value) for code in ExitCode} <= set(lines)


def test_ctrl_c_while_waiting() -> None:
    with wire_server(Scripted(hang=True)) as server:
        waiting = subprocess.Popen(
            [installed("pullpass"), "registry", "list"],
            env=settings(server.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with waiting:
            server.wait_for_request()
            waiting.send_signal(signal.SIGINT)
            out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out, err) == (130, "", "pullpass: Interrupted.\n")


def test_without_a_stdout_the_command_is_done_all_the_same() -> None:
    with wire_server(answer([])) as server:
        done = subprocess.run(
            ["bash", "-c", f"{installed('pullpass')} registry list >&-"],
            env=settings(server.url),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert done.stderr.startswith("No registry records yet.")


def test_a_reader_that_goes_away_is_no_news() -> None:
    record = {"id": "ghcr", "registry": "ghcr.io", "type": "public", "enable_ci": False}
    with wire_server(answer([record] * 20_000)) as server:
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"{installed('pullpass')} registry list | head -1; echo ${{PIPESTATUS[0]}}",
            ],
            env=settings(server.url),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines() == ["ID    REGISTRY  TYPE    CI  CREATED  LAST CHECK", "141"]
    assert done.stderr == ""


@contextmanager
def terminal(*arguments: str, env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command on a terminal of its own, and our end of that terminal."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [installed("pullpass"), *arguments],
            env=env,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            yield process, ours
    finally:
        os.close(ours)


def read_until(terminal: int, text: str) -> str:
    seen = ""
    while text not in seen:
        seen += os.read(terminal, 1024).decode()
    return seen


def rest(terminal: int) -> str:
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 1024)
        except OSError:
            # Linux's way to say that nobody holds the other end any more.
            return seen.decode()
        if not chunk:
            return seen.decode()
        seen += chunk


def test_a_person_types_a_password_unseen(pullpass: PullpassServer) -> None:
    record = ("--registry", "typed.example", "--type", "basic", "--username", "robot")
    with terminal("registry", "create", "typed", *record, env=pullpass.client_env) as (done, tty):
        read_until(tty, "Password: ")
        os.write(tty, b"hunter2\n")
        echoed = rest(tty)
        assert done.wait(30) == 0, echoed
    assert "hunter2" not in echoed
    assert "Password  hunter2\n" in pullpass.cli("creds", "typed.example/app").stdout


@pytest.mark.parametrize(("typed", "code", "left"), [(b"n\n", 1, 0), (b"y\n", 0, 4)])
def test_a_person_is_asked_before_a_record_is_deleted(
    pullpass: PullpassServer, typed: bytes, code: int, left: int
) -> None:
    record = ("--registry", "asked.example", "--type", "public")
    pullpass.cli("registry", "create", "asked", *record)
    with terminal("registry", "delete", "asked", env=pullpass.client_env) as (done, tty):
        assert "'asked'" in read_until(tty, "[y/N]: ")
        os.write(tty, typed)
        rest(tty)
        assert done.wait(30) == code
    assert pullpass.cli("registry", "get", "asked").returncode == left


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(command: Command, shell: str) -> None:
    done = command("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_PULLPASS_COMPLETE" in done.out
    assert f"{shell}_complete" in done.out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("reg", ["registry"]), ("registry c", ["check", "create", "creds"]), ("", list(ENTRIES))],
)
def test_bash_completes_commands(typed: str, offered: list[str]) -> None:
    words = ["pullpass", *typed.split(" ")]
    path = f"{Path(installed('pullpass')).parent}:{os.environ['PATH']}"
    script = (
        'eval "$(pullpass completion bash)"; '
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        "_pullpass_completion pullpass; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env=clean_environment({"PATH": path}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == (offered, "")
