"""``pullpass registry check`` against real registries."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.ports import free_port
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import PullpassServer, installed, pullpass_server

RIGHT = "canary-right-2f60"
WRONG = "canary-wrong-8d17"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry"), users={"bot": RIGHT}) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PullpassServer]:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with pullpass_server(tmp_path / "data", env=env) as running:
        yield running


def create(server: PullpassServer, record_id: str, registry: str, *arguments: str) -> None:
    basic = ("--type", "basic", "--username", "bot", "--password-stdin")
    made = server.cli(
        *("registry", "create", record_id, "--registry", registry),
        *(arguments or basic),
        stdin=WRONG if record_id == "wrong" else RIGHT,
    )
    assert made.returncode == 0, made.stderr


def create_all(server: PullpassServer, registry: DockerRegistry) -> None:
    create(server, "right", f"{registry.address}/team")
    create(server, "wrong", f"{registry.address}/other")
    create(server, "closed", f"127.0.0.1:{free_port()}")
    create(server, "pattern", "*.example.com")
    copied = ("--type", "secret_ref", "--secret", "*=infra/pull")
    create(server, "copied", "copied.example.com", *copied)


def test_all_records_are_checked_and_listed_with_what_came_of_it(
    server: PullpassServer, registry: DockerRegistry
) -> None:
    nothing = server.cli("registry", "check", "--all")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no record that can be tried" in nothing.stderr

    create_all(server, registry)
    done = server.cli("registry", "check", "--all")
    assert done.returncode == 6
    rows = [line.split()[:4] for line in done.stdout.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows[1:]] == [
        ("closed", "no", "connect"),
        ("right", "yes", "ok"),
        ("wrong", "no", "unauthorized"),
    ]
    assert "Not tried: copied, pattern." in done.stderr
    assert "Checking" not in done.stderr, "nobody looks on"

    listed = server.cli("registry", "list")
    last = {line.split()[0]: line.split("UTC  ")[1].split(",")[0] for line in rows_of(listed)}
    assert last == {
        "closed": "connect",
        "copied": "-",
        "pattern": "-",
        "right": "ok",
        "wrong": "unauthorized",
    }
    shown = server.cli("registry", "get", "wrong").stdout
    assert "Last check  unauthorized, " in shown
    server.cli("registry", "check", "wrong")
    assert "failing since" in server.cli("registry", "get", "wrong").stdout
    for output in (done.stdout + done.stderr, listed.stdout, server.log_text()):
        assert RIGHT not in output
        assert WRONG not in output


def rows_of(listed: subprocess.CompletedProcess[str]) -> list[str]:
    return listed.stdout.splitlines()[1:]


def test_programs_get_every_step(server: PullpassServer, registry: DockerRegistry) -> None:
    create(server, "right", registry.address)
    done = server.cli("registry", "check", "--all", "--output", "json")
    assert done.returncode == 0
    (found,) = json.loads(done.stdout)
    assert (found["id"], found["registry"], found["ok"]) == ("right", registry.address, True)
    assert [step["name"] for step in found["steps"]][-1] == "login"


def test_a_person_sees_how_far_it_is(server: PullpassServer, registry: DockerRegistry) -> None:
    create_all(server, registry)
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        done = subprocess.run(
            [installed("pullpass"), "registry", "check", "--all"],
            env=server.client_env | {"TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            check=False,
        )
        os.close(theirs)
        seen = b""
        try:
            while piece := screen.read(65536):
                seen += piece
        except OSError:
            # The other end of a terminal is gone: that is how it ends.
            pass
    assert done.returncode == 6
    assert b"Checking" in seen
    assert b"3/3" in seen
    assert "Checking" not in done.stdout


def test_a_pattern_is_checked_with_an_image(
    server: PullpassServer, registry: DockerRegistry
) -> None:
    registry.push_tiny_image("team/app", "1")
    port = registry.address.rpartition(":")[2]
    create(server, "pattern", f"*.0.0.1:{port}")
    alone = server.cli("registry", "check", "pattern")
    assert alone.returncode == 1
    assert "image" in alone.stderr
    done = server.cli("registry", "check", "pattern", "--image", f"{registry.address}/team/app:1")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("team", "--all"),
        ("--all", "--image", "a"),
        ("team", "--image", "a", "--repository", "b"),
    ],
)
def test_what_does_not_go_together(server: PullpassServer, arguments: tuple[str, ...]) -> None:
    done = server.cli("registry", "check", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
