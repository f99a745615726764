"""``pullpass docker install`` and ``uninstall``: other people's files, changed and put back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullpass.client.sync import Client
from tests.cli.conftest import Command, Done
from tests.parts.clients import pull
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import PullpassServer, installed, pullpass_server
from tests.test_secrets_never_leak import assert_absent

LOGIN = "canary-login-2b6f"
HUB = "https://index.docker.io/v1/"
GHCR = ("docker", "install", "--registry", "ghcr.io")

FILES = {
    "docker's own": f'{{\n\t"auths": {{\n\t\t"quay.io": {{"auth": "{LOGIN}"}}\n\t}},\n'
    '\t"credsStore": "desktop",\n\t"x": [1,  2]\n}',
    "four spaces": '{\n    "credHelpers": {\n        "gcr.io": "gcloud"\n    }\n}\n',
    "an odd layout": '{"a" :1,\n "credHelpers":{ "gcr.io" :"gcloud" }  , "é": "\\u00e9"}\n\n',
    "one line": f'{{"auths": {{"ghcr.io": {{"auth": "{LOGIN}"}}}}, "y": 1.50}}',
    "windows": '{\r\n  "auths": {}\r\n}\r\n',
    "nothing in it": "{}",
    "nothing in lines": "{\n}\n",
    "empty helpers": '{\n  "credHelpers": {}\n}\n',
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".docker").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def file(home: Path) -> Path:
    return home / ".docker" / "config.json"


@pytest.fixture
def run(command: Command, home: Path) -> Command:
    def execute(*arguments: str, **settings: str) -> Done:
        done = command(*arguments, **settings)
        assert_absent(done.out + done.err, "the output", (LOGIN,))
        return done

    return execute


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_file_is_put_back_to_the_last_byte(run: Command, file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    file.chmod(0o640)
    before = json.loads(content)
    done = run(*GHCR, "--registry", "docker.io")
    assert done.code == 0, done.err
    after = json.loads(file.read_bytes())
    helpers = {**before.pop("credHelpers", {}), "ghcr.io": "pullpass"}
    assert after.pop("credHelpers") == helpers | {"docker.io": "pullpass", HUB: "pullpass"}
    assert after == before
    assert file.stat().st_mode & 0o777 == 0o640
    assert ("The login to ghcr.io" in done.err) == ("ghcr.io" in before.get("auths", {}))
    for name in (file.parent / "..").resolve().rglob("*docker-install*"):
        assert_absent(name.read_text(), str(name), (LOGIN,))

    text = file.read_bytes()
    again = run(*GHCR, "--registry", "docker.io")
    assert (again.code, file.read_bytes()) == (0, text)
    assert f"Nothing to do in {file}" in again.out

    done = run("docker", "uninstall")
    assert done.code == 0
    assert file.read_bytes() == content.encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert run("docker", "uninstall").err == "Nothing is installed here.\n"


def test_what_others_changed_since_then_stays(run: Command, file: Path) -> None:
    file.write_text('{\n  "credHelpers": {\n    "gcr.io": "gcloud"\n  }\n}\n')
    assert run(*GHCR).code == 0
    config = json.loads(file.read_text())
    config["credHelpers"]["quay.io"] = "other"
    config["auths"] = {}
    file.write_text(json.dumps(config))
    assert run("docker", "uninstall").code == 0
    assert json.loads(file.read_text()) == {
        "credHelpers": {"gcr.io": "gcloud", "quay.io": "other"},
        "auths": {},
    }


def test_another_helper_is_kept_unless_forced(run: Command, file: Path) -> None:
    content = '{"credHelpers": {"ghcr.io": "other"}}'
    file.write_text(content)
    done = run(*GHCR)
    assert (done.code, file.read_text()) == (5, content)
    assert "ghcr.io keeps the helper 'other'" in done.err
    done = run(*GHCR, "--registry", "quay.io")
    assert done.code == 5
    helpers = {"ghcr.io": "other", "quay.io": "pullpass"}
    assert json.loads(file.read_text())["credHelpers"] == helpers
    assert run(*GHCR, "--force").code == 0
    assert json.loads(file.read_text())["credHelpers"]["ghcr.io"] == "pullpass"
    assert run("docker", "uninstall").code == 0
    assert file.read_text() == content


def test_a_file_that_was_not_there_goes_again(run: Command, file: Path) -> None:
    tried = run(*GHCR, "--dry-run")
    assert "Would name the helper in" in tried.out
    assert "Would write" in tried.out
    assert list(file.parent.parent.rglob("*")) == [file.parent]
    assert run(*GHCR).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == '{\n\t"credHelpers": {\n\t\t"ghcr.io": "pullpass"\n\t}\n}\n'
    assert "Would put back" in run("docker", "uninstall", "--dry-run").out
    assert file.exists()
    assert run("docker", "uninstall").code == 0
    assert not file.exists()


def test_a_symbolic_link_stays_one(run: Command, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.json"
    target.write_text("{}")
    file.symlink_to(target)
    assert run(*GHCR).code == 0
    assert file.is_symlink()
    assert "pullpass" in target.read_text()
    assert run("docker", "uninstall").code == 0
    assert (file.is_symlink(), target.read_text()) == (True, "{}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f'{{"auths": {{"a": "{LOGIN}"'.encode(), "not JSON"),
        (b"", "not JSON"),
        (f'["{LOGIN}"]'.encode(), "not an object"),
        (f'{{"credHelpers": "{LOGIN}"}}'.encode(), "are not an object"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=["cut off", "empty", "a list", "helpers of text", "latin", "deep"],
)
def test_a_broken_file_is_left_untouched_and_so_are_the_others(
    run: Command, file: Path, home: Path, content: bytes, why: str
) -> None:
    other = home / ".config" / "containers" / "auth.json"
    other.parent.mkdir(parents=True)
    other.write_bytes(content)
    for arguments in (GHCR, ("docker", "uninstall")):
        done = run(*arguments)
        assert (done.code, done.out) == (1, "")
        assert why in done.err
        assert "left untouched" in done.err
        assert other.read_bytes() == content
        assert not file.exists()


def test_the_files_of_podman_are_changed_where_they_are(
    run: Command, home: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = home / ".config" / "containers" / "auth.json"
    runtime = tmp_path / "run" / "containers" / "auth.json"
    named = tmp_path / "named.json"
    for path in (mine, runtime, named):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    assert run(*GHCR).code == 0
    assert not file.exists()
    for path in (mine, runtime, named, tmp_path / "elsewhere" / "config.json"):
        assert "pullpass" in path.read_text()
    assert run("docker", "uninstall").code == 0
    assert [path.read_text() for path in (mine, runtime, named)] == ["{}"] * 3

    asked = tmp_path / "asked" / "auth.json"
    own = ("--config", str(file), "--auth-file", str(asked))
    assert run(*GHCR, *own).code == 0
    assert file.exists()
    assert asked.exists()
    assert mine.read_text() == "{}"


def test_a_host_is_what_is_asked_for(run: Command, file: Path) -> None:
    for host, words in (
        ("ghcr.io/acme", "give ghcr.io."),
        ("*.example.com", "is a pattern"),
        ("not a host", "a space"),
        ("acme", "is not a registry host"),
    ):
        done = run("docker", "install", "--registry", host)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
    assert run("docker", "install", "--registry", "https://GHCR.io/v2/").code == 0
    assert json.loads(file.read_text()) == {"credHelpers": {"ghcr.io": "pullpass"}}


def test_the_launcher_goes_where_it_is_found_first(
    run: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    slow = str(Path(installed("docker-credential-pullpass")).parent)
    monkeypatch.setenv("PATH", f"{folder}:{slow}:{os.environ['PATH']}")
    done = run(*GHCR, "--bin-dir", str(folder))
    program = folder / "docker-credential-pullpass"
    assert f"Wrote {program}, which starts faster than {slow}/" in done.out
    assert "on PATH" not in done.out
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("docker-credential-pullpass")
    assert "Wrote" not in run(*GHCR, "--bin-dir", str(folder)).out
    assert f"Removed {program}." in run("docker", "uninstall", "--bin-dir", str(folder)).out
    assert not program.exists()

    # A folder that clients do not look into, and a program of somebody else's.
    done = run(*GHCR)
    assert f"Put {home}/.local/bin before {slow} on PATH." in done.out
    folder.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert "--bin-dir" in run(*GHCR, "--bin-dir", str(folder)).out
    assert program.read_text() == "#!/bin/sh\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    users = {"robot": "the robot's password"}
    with docker_registry(tmp_path_factory.mktemp("registry"), users=users) as running:
        running.push_tiny_image("team/app", "1")
        yield running


@pytest.fixture(scope="module")
def filled(
    registry: DockerRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PullpassServer]:
    """A server with records of each sort, one of them for the registry."""
    with pullpass_server(tmp_path_factory.mktemp("filled") / "data") as server:
        with Client(server.url, "acme", server.admin_token) as client:
            for record_id, name in (
                ("live", f"{registry.address}/team"),
                ("hub", "docker.io/acme"),
                ("wild", "*.example.com"),
                ("two-a", "two.example/a"),
                ("two-b", "two.example/b"),
            ):
                client.registries.create(
                    {
                        "id": record_id,
                        "registry": name,
                        "type": "basic",
                        "creds": {"username": "robot", "password": "the robot's password"},
                    }
                )
            client.registries.create({"id": "free", "registry": "quay.io", "type": "public"})
        yield server


@pytest.mark.parametrize("tool", ["skopeo", "podman", "buildah", "docker"])
def test_clients_pull_after_a_login_and_an_install(
    tool: str,
    run: Command,
    filled: PullpassServer,
    registry: DockerRegistry,
    home: Path,
    file: Path,
    command: Command,
) -> None:
    assert command("login", filled.url, stdin=filled.admin_token).code == 0
    done = run("docker", "install")
    assert done.code == 0, done.err
    helpers = json.loads(file.read_text())["credHelpers"]
    assert set(helpers) == {registry.address, "docker.io", HUB}
    assert "Left out: *.example.com" in done.err
    assert "Left out: two.example" in done.err

    image = f"{registry.address}/team/app:1"
    env = {"HOME": str(home), "PATH": f"{home}/.local/bin:{os.environ['PATH']}"}
    pulled = pull(tool, image, file, env=env)
    assert pulled.returncode == 0, pulled.stderr
    assert run("docker", "uninstall").code == 0
    file.write_text("{}")
    assert pull(tool, image, file, env=env).returncode != 0


def test_without_a_record_there_is_nothing_to_install(
    acme: Command, file: Path, tmp_path: Path
) -> None:
    with pullpass_server(tmp_path / "data") as empty:
        done = acme("--url", empty.url, "docker", "install", token=empty.admin_token)
    assert (done.code, done.out) == (1, "")
    assert "--registry" in done.err
    assert not file.exists()
