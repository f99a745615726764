"""A PostgreSQL cluster of the tests' own, which may be stopped, started again and paused."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.parts.ports import free_port

_USER = "pullpass"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    # No test pulls the plug, so nothing needs to reach the disk.
    "fsync": "off",
    "shared_buffers": "16MB",
    "autovacuum": "off",
}


def require_postgres() -> Path:
    """The directory of PostgreSQL's programs; without them, the test is skipped."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = packaged[0] if packaged else shutil.which("initdb")
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent


class PostgresCluster:
    """One cluster, on a free loopback port and on a unix socket, with password log-in."""

    def __init__(self, directory: Path) -> None:
        self._programs = require_postgres()
        self._directory = directory
        self._data = directory / "data"
        self.socket_directory = directory
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self._databases = 0
        self._initialize()
        self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """The same database over the unix socket."""
        return f"{self.url(database)}?host={self.socket_directory}"

    def create_database(self, template: str = "template0") -> str:
        """The name of a new database, a copy of ``template``, to which nobody may be connected."""
        self._databases += 1
        name = f"test{self._databases}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for ``statement``, without headings."""
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        return self._run([*command, "-c", statement]).strip()

    def start(self) -> None:
        self._run(["pg_ctl", "-D", str(self._data), "-w", "-l", str(self._log), "start"])

    def ensure_started(self) -> None:
        """Start it unless it runs."""
        if not (self._data / "postmaster.pid").exists():
            self.start()

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` ends it as a crash would."""
        self._run(["pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop"])

    def pause(self) -> None:
        """Stop all its processes where they are (SIGSTOP); the first, so that none is added."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on (SIGCONT); where it was not paused, nothing happens."""
        if (self._data / "postmaster.pid").exists():
            self._signal(signal.SIGCONT)

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    def _initialize(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        password_file = self._directory / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._directory, password_file):
                shutil.chown(path, "nobody", "nogroup")
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        login = [f"--username={_USER}", f"--pwfile={password_file}"]
        self._run(["initdb", "-D", str(self._data), *options, *login])
        settings = _SETTINGS | {
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _signal(self, number: signal.Signals) -> None:
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, number)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in map(int, children):
            # It may just have come to its end.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _run(self, command: Sequence[str]) -> str:
        program = [str(self._programs / command[0]), *command[1:]]
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            who = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            program = ["setpriv", *who, *program]
        output = self._directory / f"output-{time.monotonic_ns()}"
        # Into a file, since a server that pg_ctl starts would keep a pipe open.
        with output.open("w+") as file:
            done = subprocess.run(
                program, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", check=False
            )
        printed = output.read_text(errors="replace")
        output.unlink()
        if done.returncode != 0:
            log = self._log.read_text(errors="replace") if self._log.exists() else ""
            raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{printed}\n{log}")
        return printed


@contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    """A cluster that is there until the block ends, whatever was done to it in between."""
    # Not below pytest's own directory, which only root may enter, and short enough for a socket.
    directory = Path(tempfile.mkdtemp(prefix="pullpass-pg-"))
    cluster = None
    try:
        cluster = PostgresCluster(directory)
        yield cluster
    finally:
        if cluster is not None:
            cluster.resume()
            cluster.ensure_started()
            cluster.stop("immediate")
        shutil.rmtree(directory)
