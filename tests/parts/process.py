"""A program that runs beside the tests: started, waited for, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class ProcessFailed(Exception):
    """The program ended, or did not become ready in time; the message holds its output."""


class Process:
    """One program, its standard output and standard error in files that are appended to.

    It leads a session of its own, so that Ctrl-C reaches the tests alone, which then stop it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdout: Path,
        stderr: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._name = os.path.basename(command[0])
        self._outputs = [stdout] if stderr is None else [stdout, stderr]
        with stdout.open("ab") as out, (stderr or stdout).open("ab") as err:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def output(self) -> str:
        """What it has printed so far, all starts included."""
        return "".join(path.read_text(errors="replace") for path in self._outputs)

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 120) -> None:
        """Returns once ``ready()`` is true. A start may take a minute where the machine is busy.

        Raises ProcessFailed where the program ends first, or is not ready in ``seconds``; in
        the second case it is killed.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                code = self._popen.returncode
                raise ProcessFailed(f"{self._name} ended with {code}:\n{self.output()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ProcessFailed(f"{self._name} was not ready in {seconds} s:\n{self.output()}")
            time.sleep(0.02)

    def stop(self, *, seconds: float = 20) -> int:
        """Asks it to end (SIGTERM) and returns its exit code; negative: killed by that signal."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._popen.returncode

    def kill(self) -> None:
        """Ends it without warning (SIGKILL), with every process it has started."""
        if self.running:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
