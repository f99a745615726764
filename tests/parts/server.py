"""Pullpass itself, run as a user runs it: the installed commands, a port, a data directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from tests.parts.ports import free_port
from tests.parts.process import Process


def installed(command: str) -> str:
    """The path of a command that was installed with the package under test."""
    return str(Path(sys.executable).with_name(command))


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without anybody's Pullpass settings, and ``extra``."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PULLPASS_")}
    return {**inherited, **extra}


def run_local(
    data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs ``pullpass ARGUMENTS`` on the data in ``data_dir``, and returns how it went."""
    return subprocess.run(
        [installed("pullpass"), *arguments, "--data-dir", str(data_dir)],
        env=clean_environment(env or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def key_states(data_dir: Path) -> list[list[str]]:
    """The state of each key of the master key, and how much it has wrapped."""
    done = run_local(data_dir, "keys", "status")
    assert done.returncode == 0, done.stderr
    return [line.split(maxsplit=1)[1].rsplit(maxsplit=1) for line in done.stdout.splitlines()[2:]]


@dataclass
class PullpassServer:
    """A running server, its organization, and that organization's first administrator."""

    data_dir: Path
    port: int
    organization: str
    admin_token: str = field(repr=False)
    arguments: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    _process: Process = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def client_env(self) -> dict[str, str]:
        """An environment for the client commands and the credential helper, as its admin; the
        helper asks the server every time.
        """
        return clean_environment(
            {
                "PULLPASS_URL": self.url,
                "PULLPASS_ORG": self.organization,
                "PULLPASS_TOKEN": self.admin_token,
                "PULLPASS_CACHE": "off",
            }
        )

    @property
    def stdout(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}-{self.port}.out")

    @property
    def stderr(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}-{self.port}.err")

    def start(self) -> None:
        """Returns once the server is ready. Raises ProcessFailed with its output otherwise."""
        self.launch()
        self._process.wait_until(lambda: is_ready(self.url))

    def launch(self) -> None:
        """Begins to start it."""
        self._process = Process(
            [
                *(installed("pullpass"), "serve", "--data-dir", str(self.data_dir)),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *self.arguments,
            ],
            stdout=self.stdout,
            stderr=self.stderr,
            env=clean_environment(self.env),
        )

    def stop(self) -> None:
        """Ends it as an init system does; that it ends well is part of every test."""
        code = self._process.stop()
        # Under libfaketime a sleep that is over before it began is an error (EINVAL), which the
        # supervisor's short ones are at times while it waits for its workers.
        if "faketime" in self.env.get("LD_PRELOAD", "") and "Invalid argument" in self.log_text():
            return
        assert code == 0, f"pullpass serve ended with {code} on SIGTERM:\n{self.log_text()}"

    def restart(self) -> None:
        """Stops and starts again, on the same port and data."""
        if self._process.running:
            self.stop()
        self.start()

    def kill(self) -> None:
        """Ends it as a power cut does (SIGKILL, workers included)."""
        self._process.kill()

    def log_text(self) -> str:
        """What it has written to standard output and standard error, all starts included."""
        return self._process.output()

    def local(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs ``pullpass ARGUMENTS`` on its data, with its settings, and returns how it went."""
        return run_local(self.data_dir, *arguments, env=self.env)

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs ``pullpass ARGUMENTS`` as its administrator and returns how it went."""
        return subprocess.run(
            [installed("pullpass"), *arguments],
            input=stdin,
            env=self.client_env,
            capture_output=True,
            text=True,
            check=False,
        )


def is_ready(url: str) -> bool:
    """Whether the server at ``url`` says that it is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health/ready", timeout=5) as response:
            return bool(response.status == HTTPStatus.OK)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def initialize(
    data_dir: Path, organization: str, *, arguments: Sequence[str] = (), env: Mapping[str, str]
) -> str:
    """Runs ``pullpass init`` and returns the first admin token."""
    command = [installed("pullpass"), "init", "--org", organization, "--data-dir", str(data_dir)]
    done = subprocess.run(
        [*command, "--output", "json", *arguments],
        stdin=subprocess.DEVNULL,
        env=clean_environment(env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"pullpass init ended with {done.returncode}: {done.stderr}"
    answer = json.loads(done.stdout)
    assert answer["organization"] == organization
    token: str = answer["token"]
    return token


def _answers_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            # Not there yet, or taken over by the server at this moment.
            return False


def serve_on_socket(data_dir: Path, path: Path) -> Process:
    """A server that listens on the socket ``path``, with the data of one that was initialized."""
    server = Process(
        [installed("pullpass"), "serve", "--data-dir", str(data_dir), "--socket", str(path)],
        stdout=data_dir.with_name(f"{data_dir.name}-socket.log"),
        env=clean_environment({}),
    )
    server.wait_until(lambda: _answers_on(path))
    return server


@contextmanager
def pullpass_server(
    data_dir: Path,
    *,
    organization: str = "acme",
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    init_arguments: Sequence[str] = (),
    admin_token: str | None = None,
    port: int | None = None,
) -> Iterator[PullpassServer]:
    """A Pullpass server that serves until the block ends.

    ``env`` goes to init and serve (``{"PULLPASS_DATABASE": "postgresql://…"}``), ``arguments``
    to serve alone (``["--config", "…"]``), ``init_arguments`` to init alone. With ``admin_token``
    nothing is initialized: the data is there already, as for a second replica. ``port``: where it
    listens, for settings that name it.

    The end of the block fails where the server, still running, does not stop with exit code 0.
    """
    settings = env or {}
    token = admin_token or initialize(
        data_dir, organization, arguments=init_arguments, env=settings
    )
    server = PullpassServer(data_dir, port or free_port(), organization, token, arguments, settings)
    try:
        yield server
    except BaseException:
        server._process.stop(seconds=5)
        raise
    if server._process.running:
        server.stop()


Replicas = tuple[PullpassServer, PullpassServer]


@contextmanager
def two_replicas(
    folder: Path, database: str, env: Mapping[str, str] | None = None
) -> Iterator[Replicas]:
    """Two servers on one PostgreSQL database, an empty one, that share the master key."""
    key = {"PULLPASS_MASTER_KEY_FILE": str(folder / "master.key")}
    settings = {"PULLPASS_DATABASE": database, **key, **(env or {})}
    with (
        pullpass_server(folder / "one", env=settings) as one,
        pullpass_server(folder / "two", env=settings, admin_token=one.admin_token) as two,
    ):
        yield one, two
