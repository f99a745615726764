"""Whole-process time of the credential helper's ``get``, beside others in the same run.

    python -m bench.helper [RUNS]

Beside it: ``pass`` by the same interpreter, as it starts by default and isolated, and Debian's
``docker-credential-ecr-login``, where it is installed, against moto. Every program is run once a
round, in turn. The servers run on the same machine, and their part is in the time: Pullpass for
plain HTTP and the socket, a scripted one for TLS, moto for ECR. moto's credentials are from 2015,
so the one in the ECR helper's cache gets an end tomorrow.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pullpass.client.sync import Client
from pullpass.plugins.launcher import launcher
from tests.parts.certificates import make_certificates
from tests.parts.ports import free_port
from tests.parts.process import Process
from tests.parts.server import installed, pullpass_server, serve_on_socket
from tests.parts.wire import answer, wire_server
from tests.plugins.helper import basic, environment, settings

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PEER = "python -c pass"


@dataclass(frozen=True, slots=True)
class Program:
    command: list[str]
    env: Mapping[str, str]

    def seconds(self) -> tuple[float, float]:
        """By the clock, and by the processor: other work on the machine adds to the first."""
        began, used = time.perf_counter(), children_seconds()
        done = subprocess.run(
            self.command, input=HOST.encode(), env=self.env, capture_output=True, check=False
        )
        took = time.perf_counter() - began
        assert done.returncode == 0, done.stdout + done.stderr
        return took, children_seconds() - used


def children_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def isolated_helper(folder: Path) -> str:
    script = folder / "docker-credential-pullpass"
    script.write_text(launcher(script.name))
    script.chmod(0o755)
    return str(script)


@contextmanager
def pullpass_programs(folder: Path) -> Iterator[dict[str, Program]]:
    fast = isolated_helper(folder)
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    off = {"PULLPASS_CACHE": "off"}
    found = {"id": "ecr", "registry": HOST, "type": "basic", "username": "u", "password": "p"}
    with ExitStack() as stack:
        server = stack.enter_context(pullpass_server(folder / "data"))
        with Client(server.url, "acme", server.admin_token) as client:
            client.registries.create(basic("ecr", HOST, "p"))
        path = folder / "pullpass.sock"
        on_socket = serve_on_socket(folder / "data", path)
        stack.callback(on_socket.stop)
        certificates = make_certificates(folder)
        tls = stack.enter_context(wire_server(answer(found), certificates=certificates))
        token = {"PULLPASS_TOKEN": server.admin_token}
        trusted = {"PULLPASS_CA_BUNDLE": str(certificates.authority)}
        http = settings(server.url, **token, **off)
        yield {
            "cached": Program(
                [fast, "get"], settings(server.url, **token, XDG_RUNTIME_DIR=str(runtime))
            ),
            "unix socket": Program([fast, "get"], settings(f"unix://{path}", **token, **off)),
            "http": Program([fast, "get"], http),
            "https": Program([fast, "get"], settings(tls.url, **token, **trusted, **off)),
            "http, by pip's script": Program(
                [installed("docker-credential-pullpass"), "get"], http
            ),
        }


@contextmanager
def ecr_programs(folder: Path) -> Iterator[dict[str, Program]]:
    program = shutil.which("docker-credential-ecr-login")
    if program is None:
        yield {}
        return
    port = free_port()
    proxy = Process(
        [installed("moto_proxy"), "-H", "127.0.0.1", "-p", str(port)], stdout=folder / "moto.log"
    )
    env = environment(
        HOME=str(folder),
        HTTPS_PROXY=f"http://127.0.0.1:{port}",
        AWS_CA_BUNDLE=moto_authority(),
        AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_EC2_METADATA_DISABLED="true",
    )
    command = [program, "get"]
    try:
        proxy.wait_until(
            lambda: (
                not subprocess.run(
                    command, input=HOST.encode(), env=env, capture_output=True, check=False
                ).returncode
            )
        )
        cache = folder / ".ecr" / "cache.json"
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        cache.write_text(re.sub('"2015-[^"]*"', f'"{tomorrow}"', cache.read_text()))
        yield {
            "ecr-login, cached": Program(command, env),
            "ecr-login": Program(command, env | {"AWS_ECR_DISABLE_CACHE": "true"}),
        }
    finally:
        proxy.kill()


def moto_authority() -> str:
    import moto.moto_proxy

    return str(Path(moto.moto_proxy.__file__).with_name("ca.crt"))


def interpreters() -> dict[str, Program]:
    plain = environment()
    return {
        PEER: Program([sys.executable, "-c", "pass"], plain),
        "python -I -S -c pass": Program([sys.executable, "-I", "-S", "-c", "pass"], plain),
    }


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pp-bench-")))
        programs = interpreters()
        programs |= stack.enter_context(pullpass_programs(folder))
        programs |= stack.enter_context(ecr_programs(folder))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for number in range(runs + 1):
            for name, program in programs.items():
                seconds = program.seconds()
                # The first round fills the caches of the machine, and the helpers' own.
                if number:
                    times[name].append(seconds)
    medians = {
        name: [statistics.median(column) * 1000 for column in zip(*taken, strict=True)]
        for name, taken in times.items()
    }
    print(f"{'':<24}{'ms':>7}{'ratio':>7}{'CPU ms':>9}{'ratio':>7}")
    for name, (wall, cpu) in medians.items():
        ratios = wall / medians[PEER][0], cpu / medians[PEER][1]
        print(f"{name:<24}{wall:7.1f}{ratios[0]:7.2f}{cpu:9.1f}{ratios[1]:7.2f}")
    result = {name: [round(each, 1) for each in pair] for name, pair in medians.items()}
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"runs": runs, "load": load, "median_ms_and_cpu_ms": result}))


if __name__ == "__main__":
    main()
