"""``make demo`` does what it says, gives nothing away, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pullpass.domain.token import PREFIX as TOKEN_PREFIX
from scripts.demo import PASSWORD_PREFIX, TOOLS
from tests.parts.tools import require_tool

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _tools() -> None:
    for tool in TOOLS:
        require_tool(tool, f"apt-get install {tool}")


@contextmanager
def started_demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "scripts.demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            yield demo
        finally:
            demo.terminate()


def listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def test_every_step_behaves_and_no_secret_is_shown(tmp_path: Path) -> None:
    with started_demo(tmp_path) as demo:
        output, _ = demo.communicate()
    assert demo.returncode == 0, output
    assert "unauthorized" in output
    assert PASSWORD_PREFIX not in output
    assert TOKEN_PREFIX not in output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminated"]
)
def test_interrupted_it_cleans_up(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    with started_demo(tmp_path) as demo:
        assert demo.stdout
        output = ""
        for line in demo.stdout:
            output += line
            if line.startswith("3."):
                break
        demo.send_signal(sent)
        output += demo.stdout.read()
        assert demo.wait() == code, output
    addresses = set(re.findall(r"127\.0\.0\.1:\d+", output))
    assert len(addresses) == 2, output
    assert not [address for address in addresses if listens(address)]
    assert not list(tmp_path.iterdir())
