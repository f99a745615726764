"""``make run``: the first start, the second, and a port that is taken."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pullpass.domain.token import PREFIX as TOKEN_PREFIX
from tests.parts.ports import free_port
from tests.parts.server import clean_environment, installed, is_ready

SCRIPT = Path(__file__).parents[2] / "scripts" / "run.sh"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The start script in a folder of its own, where it keeps its data."""
    (tmp_path / "scripts").mkdir()
    return Path(shutil.copy(SCRIPT, tmp_path / "scripts"))


def run(script: Path, port: int | str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [script, Path(sys.executable).parents[1]],
        env=clean_environment({"PULLPASS_PORT": str(port)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextmanager
def greeting(script: Path, port: int) -> Iterator[str]:
    """What a start says, with the server running; it has to end well on Ctrl-C."""
    with run(script, port) as process:
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        try:
            deadline = time.monotonic() + 30
            while not is_ready(f"http://127.0.0.1:{port}"):
                assert process.poll() is None, said + process.stdout.read()
                assert time.monotonic() < deadline, said
                time.sleep(0.02)
            yield said
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            said += process.stdout.read()
        assert process.wait() == 0, said


def exports(said: str) -> dict[str, str]:
    return dict(re.findall(r"^ *export (PULLPASS_\w+)=(\S+)$", said, re.MULTILINE))


def whoami(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed("pullpass"), "whoami"],
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_lines_of_the_first_start_work_and_the_token_is_shown_once(script: Path) -> None:
    with greeting(script, free_port()) as said:
        settings = exports(said)
        assert sorted(settings) == ["PULLPASS_ORG", "PULLPASS_TOKEN", "PULLPASS_URL"]
        answer = whoami(settings)
        assert answer.returncode == 0, answer.stderr
    with greeting(script, free_port()) as said:
        assert TOKEN_PREFIX not in said
        assert "--new-token" in said
        # Pasted into the same shell, they take nothing away.
        answer = whoami({**settings, **exports(said)})
        assert answer.returncode == 0, answer.stderr


def test_the_command_that_the_second_start_names_makes_a_token(script: Path) -> None:
    with greeting(script, free_port()):
        pass
    with greeting(script, free_port()) as said:
        command = next(line for line in said.splitlines() if "--new-token" in line)
        made = subprocess.run(
            [*command.split(), "--output", "json"],
            cwd=script.parents[1],
            env=clean_environment({}),
            capture_output=True,
            text=True,
            check=True,
        )
        token = re.findall(rf"{TOKEN_PREFIX}\w+", made.stdout)[0]
        answer = whoami({**exports(said), "PULLPASS_TOKEN": token})
        assert answer.returncode == 0, answer.stderr


def test_on_a_port_that_is_taken_nothing_is_made(script: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with run(script, port) as process:
            said, _ = process.communicate()
    assert process.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used: Address already in use." in said
    assert "make run PULLPASS_PORT=" in said
    assert not (script.parents[1] / "data").exists()


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused(script: Path, port: str) -> None:
    with run(script, port) as process:
        said, _ = process.communicate()
    assert process.returncode == 1
    assert said == f"PULLPASS_PORT is '{port}'; expected a number from 1 to 65535.\n"
