"""The credential helper against a real Pullpass, alone and under skopeo and Docker."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullpass.client.sync import Client
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import PullpassServer, installed, pullpass_server
from tests.parts.skopeo import skopeo_copy
from tests.parts.tools import require_tool
from tests.plugins.helper import MISS, basic, helper, settings

HUB = "https://index.docker.io/v1/"


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    """A server with a record of each sort."""
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data") as server:
        with Client(server.url, "acme", server.admin_token) as client:
            for record_id, registry in (
                ("ghcr", "ghcr.io"),
                ("hub", "docker.io"),
                ("port", "https://Registry.example:5000/v2/"),
                ("only", "only.example/team"),
                ("two-a", "two.example/a"),
                ("two-b", "two.example/b"),
                ("wild", "*.wild.example"),
            ):
                client.registries.create(basic(record_id, registry, f"the {record_id} password"))
            client.registries.create(
                {"id": "public", "registry": "public.example", "type": "public"}
            )
            client.registries.create(
                {
                    "id": "copied",
                    "registry": "copied.example",
                    "type": "secret_ref",
                    "secrets": {"*": {"namespace": "pull", "secret": "copied"}},
                }
            )
        yield server


def env(server: PullpassServer) -> dict[str, str]:
    return settings(server.url, PULLPASS_TOKEN=server.admin_token)


@pytest.mark.parametrize(
    ("asked", "record_id"),
    [
        ("ghcr.io", "ghcr"),
        ("ghcr.io\n", "ghcr"),
        ("https://ghcr.io", "ghcr"),
        ("GHCR.io/acme", "ghcr"),
        (HUB, "hub"),
        ("docker.io", "hub"),
        ("registry-1.docker.io", "hub"),
        ("registry.example:5000", "port"),
        ("only.example", "only"),
        ("a.wild.example", "wild"),
    ],
)
def test_a_credential(pullpass: PullpassServer, asked: str, record_id: str) -> None:
    done = helper("get", stdin=asked, env=env(pullpass))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "ServerURL": asked.strip(),
        "Username": "robot",
        "Secret": f"the {record_id} password",
    }


@pytest.mark.parametrize(
    "asked", ["nowhere.example", "registry.example", "public.example", "copied.example"]
)
def test_none_here(pullpass: PullpassServer, asked: str) -> None:
    done = helper("get", stdin=asked, env=env(pullpass))
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{MISS}\n", "")


def test_several_records_for_one_host_are_told_apart_on_stderr(pullpass: PullpassServer) -> None:
    done = helper("get", stdin="two.example", env=env(pullpass))
    assert (done.returncode, done.stdout) == (1, f"{MISS}\n")
    assert "two.example/a, two.example/b" in done.stderr
    assert "pullpass docker-config IMAGE" in done.stderr


def test_list_names_the_hosts_that_have_a_credential(pullpass: PullpassServer) -> None:
    done = helper("list", env=env(pullpass))
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "ghcr.io": "",
        HUB: "",
        "registry.example:5000": "",
        "only.example": "",
        "two.example": "",
    }


def test_a_role_that_may_not_is_told_so(pullpass: PullpassServer) -> None:
    with Client(pullpass.url, "acme", pullpass.admin_token) as client:
        reader = client.users.create("reader", "reader")
        token = client.tokens.create(reader.id, "t1").token.reveal()
    done = helper("get", stdin="ghcr.io", env=settings(pullpass.url, PULLPASS_TOKEN=token))
    assert done.returncode == 1
    assert "The role 'reader' may not read credentials" in done.stdout
    assert helper("list", env=settings(pullpass.url, PULLPASS_TOKEN=token)).returncode == 0


def test_a_wrong_token_and_a_wrong_organization(pullpass: PullpassServer) -> None:
    wrong = settings(pullpass.url, PULLPASS_TOKEN=pullpass.admin_token[:-1])
    assert "check PULLPASS_TOKEN\n" in helper("get", stdin="ghcr.io", env=wrong).stdout
    other = env(pullpass) | {"PULLPASS_ORG": "other"}
    assert "check PULLPASS_ORG\n" in helper("get", stdin="ghcr.io", env=other).stdout


@pytest.fixture
def registry(
    pullpass: PullpassServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerRegistry]:
    """A registry with an image, whose password Pullpass has; no record of it is left behind."""
    folder = tmp_path_factory.mktemp("registry")
    with docker_registry(folder, users={"robot": "the live password"}) as registry:
        registry.push_tiny_image("team/app", "1")
        with Client(pullpass.url, "acme", pullpass.admin_token) as client:
            client.registries.create(basic("live", registry.address, "the live password"))
            yield registry
            client.registries.delete("live")


def client_env(server: PullpassServer) -> dict[str, str]:
    """With the helper on PATH, where container clients look for it."""
    path = env(server)["PATH"]
    folder = Path(installed("docker-credential-pullpass")).parent
    return env(server) | {"PATH": f"{folder}:{path}"}


def config(folder: Path, registry: DockerRegistry) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({"credHelpers": {registry.address: "pullpass"}}))
    return file


def test_skopeo_pulls_with_the_helper(
    pullpass: PullpassServer, registry: DockerRegistry, tmp_path: Path
) -> None:
    source, target = f"docker://{registry.address}/team/app:1", f"dir:{tmp_path / 'pulled'}"
    authfile = config(tmp_path, registry)
    pulled = skopeo_copy(source, target, authfile=authfile, env=client_env(pullpass))
    assert pulled.returncode == 0, pulled.stderr

    stopped = client_env(pullpass) | {"PULLPASS_TOKEN": "ppt_wrong"}
    refused = skopeo_copy(source, target, authfile=authfile, env=stopped)
    assert refused.returncode != 0
    assert "check PULLPASS_TOKEN" in refused.stderr


@pytest.fixture
def short_path() -> Iterator[Path]:
    """podman wants the path of its storage in 50 characters."""
    with tempfile.TemporaryDirectory(prefix="pp-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("tool", ["buildah", "podman"])
def test_engines_without_a_daemon_pull_with_the_helper(
    tool: str,
    pullpass: PullpassServer,
    registry: DockerRegistry,
    tmp_path: Path,
    short_path: Path,
) -> None:
    program = require_tool(tool, f"apt-get install {tool}")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    pull = ["pull", "--tls-verify=false", f"--signature-policy={policy}"]

    def run(name: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        # A storage for each run: buildah is content with an image that it has.
        storage = [f"--root={short_path / name}", f"--runroot={short_path / 'run'}"]
        authfile = f"--authfile={config(tmp_path, registry)}"
        return subprocess.run(
            [program, "--storage-driver=vfs", *storage, *pull, authfile, image],
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    image = f"{registry.address}/team/app:1"
    pulled = run("one", client_env(pullpass))
    assert pulled.returncode == 0, pulled.stderr
    refused = run("two", client_env(pullpass) | {"PULLPASS_TOKEN": "ppt_wrong"})
    assert refused.returncode != 0
    assert "check PULLPASS_TOKEN" in refused.stderr


def test_docker_reads_with_the_helper_and_is_told_where_a_login_belongs(
    pullpass: PullpassServer, registry: DockerRegistry, tmp_path: Path
) -> None:
    docker = require_tool("docker", "apt-get install docker.io, or the docker-cli package")
    config(tmp_path, registry)

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [docker, "--config", str(tmp_path), *arguments],
            input=stdin,
            env=client_env(pullpass),
            capture_output=True,
            text=True,
            check=False,
        )

    image = f"{registry.address}/team/app:1"
    read = run("manifest", "inspect", "--insecure", image)
    assert read.returncode == 0, read.stderr
    assert "schemaVersion" in read.stdout

    logged_in = run(
        *("login", "-u", "robot", "--password-stdin", registry.address), stdin="the live password"
    )
    assert logged_in.returncode != 0
    assert "pullpass registry create" in logged_in.stderr
    assert "the live password" not in logged_in.stderr + logged_in.stdout
