"""The script that starts a plugin without the site's set-up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pullpass import __version__
from pullpass.plugins.launcher import PROGRAMS, launcher
from tests.plugins.helper import environment

PROGRAM = "docker-credential-pullpass"


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = folder / PROGRAM
    script.write_text(text)
    script.chmod(0o755)
    return subprocess.run(
        [script, "--version"],
        env=environment(PYTHONPATH=str(folder), PYTHONVERBOSE="1"),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_runs_the_program_isolated(tmp_path: Path, program: str) -> None:
    (tmp_path / "pullpass.py").write_text("raise SystemExit('not this one')")
    text = launcher(program)
    assert text.startswith(f"#!{sys.executable} -IS\n")
    done = run(tmp_path, text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{program} (pullpass) {__version__}\n"


@pytest.mark.parametrize("name", ["two words", "it's", "long" * 50])
def test_a_path_that_no_first_line_can_hold(tmp_path: Path, name: str) -> None:
    python = tmp_path / name / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    done = run(tmp_path, launcher(PROGRAM, str(python)))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{PROGRAM} (pullpass) {__version__}\n"


def test_what_cannot_be_started() -> None:
    with pytest.raises(ValueError, match="not one of docker-credential-pullpass"):
        launcher("docker-credential-other")
    with pytest.raises(ValueError, match="interpreter"):
        launcher(PROGRAM, "python3")
