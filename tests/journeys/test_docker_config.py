"""A printed Docker config under the clients that read it, against real registries."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullpass.client.sync import Client
from tests.parts.clients import BY_HOST, BY_PATH, pull
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import PullpassServer, pullpass_server
from tests.parts.token_server import token_server

USERS = {"team": "the team's password", "tools": "the tools' password", "robot": "pushes"}
# The registry with tokens lets each user into one repository, and everybody into the free one.
RIGHTS = {
    "team": {"team/app"},
    "tools": {"tools/app"},
    "robot": {"team/app", "tools/app", "free/app"},
    "": {"free/app"},
}


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def basic(
    pullpass: PullpassServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerRegistry]:
    """A registry with user names and passwords, and a record for each of two teams."""
    with docker_registry(tmp_path_factory.mktemp("basic"), users=USERS) as registry:
        fill(pullpass, registry, "basic")
        yield registry


@pytest.fixture(scope="module")
def bearer(
    pullpass: PullpassServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerRegistry]:
    """A registry whose token server asks each user what it may."""
    folder = tmp_path_factory.mktemp("bearer")
    with (
        token_server(folder / "tokens", users=USERS, rights=RIGHTS) as tokens,
        docker_registry(folder, users=USERS, auth=tokens.registry_auth) as registry,
    ):
        fill(pullpass, registry, "bearer")
        yield registry


def fill(pullpass: PullpassServer, registry: DockerRegistry, name: str) -> None:
    for repository in ("team/app", "tools/app", "free/app"):
        registry.push_tiny_image(repository, "1", username="robot")
    with Client(pullpass.url, "acme", pullpass.admin_token) as client:
        for user in ("team", "tools"):
            client.registries.create(
                {
                    "id": f"{name}-{user}",
                    "registry": f"{registry.address}/{user}",
                    "type": "basic",
                    "creds": {"username": user, "password": USERS[user]},
                }
            )


def config_for(pullpass: PullpassServer, folder: Path, *images: str) -> Path:
    file = folder / "config.json"
    made = pullpass.cli("docker-config", *images, "--file", str(file))
    assert made.returncode == 0, made.stderr
    assert made.stdout == ""
    assert file.stat().st_mode & 0o777 == 0o600
    return file


@pytest.mark.parametrize("tool", [*BY_PATH, *BY_HOST])
@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_every_client_pulls_with_the_config_for_an_image(
    tool: str, kind: str, pullpass: PullpassServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    registry: DockerRegistry = request.getfixturevalue(kind)
    image = f"{registry.address}/team/app:1"
    config = config_for(pullpass, tmp_path, image)
    done = pull(tool, image, config)
    assert done.returncode == 0, done.stderr
    config.write_text('{"auths": {}}')
    assert pull(tool, image, config).returncode != 0


@pytest.mark.parametrize("tool", BY_PATH)
def test_each_path_of_a_host_has_its_own_credential(
    tool: str, pullpass: PullpassServer, bearer: DockerRegistry, tmp_path: Path
) -> None:
    images = [f"{bearer.address}/{name}/app:1" for name in ("team", "tools", "free")]
    config = config_for(pullpass, tmp_path, *images)
    for image in images:
        done = pull(tool, image, config)
        assert done.returncode == 0, f"{image}: {done.stderr}"


@pytest.mark.parametrize("tool", BY_HOST)
def test_a_client_that_knows_hosts_only_is_given_nobody_elses_credential(
    tool: str, pullpass: PullpassServer, bearer: DockerRegistry, tmp_path: Path
) -> None:
    team, tools, free = (f"{bearer.address}/{name}/app:1" for name in ("team", "tools", "free"))
    config = config_for(pullpass, tmp_path, team, tools, free)
    assert pull(tool, team, config).returncode != 0
    done = pull(tool, free, config)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tool", ["skopeo", "podman", "buildah"])
def test_an_image_without_a_record_is_pulled_anonymously_beside_one_with_it(
    tool: str, pullpass: PullpassServer, bearer: DockerRegistry, tmp_path: Path
) -> None:
    # The team's user may not pull it; nobody may.
    team, free = f"{bearer.address}/team/app:1", f"{bearer.address}/free/app:1"
    config = config_for(pullpass, tmp_path, team, free)
    done = pull(tool, free, config)
    assert done.returncode == 0, done.stderr


def test_a_printed_secret_is_one_that_kubernetes_takes(
    pullpass: PullpassServer, basic: DockerRegistry
) -> None:
    image = f"{basic.address}/team/app:1"
    done = pullpass.cli("docker-config", image, "--secret", "pull", "--namespace", "web")
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads(done.stdout)
    assert (manifest["apiVersion"], manifest["kind"]) == ("v1", "Secret")
    assert manifest["type"] == "kubernetes.io/dockerconfigjson"
    assert manifest["metadata"]["name"] == "pull"
    assert manifest["metadata"]["namespace"] == "web"
    content = json.loads(base64.b64decode(manifest["data"][".dockerconfigjson"]))
    [(key, fields)] = content["auths"].items()
    assert key == f"{basic.address}/team/"
    assert base64.b64decode(fields["auth"]).decode() == f"team:{USERS['team']}"
