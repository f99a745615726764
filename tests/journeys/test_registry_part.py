"""The registry that the journeys use is as strict as one in production."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.skopeo import skopeo_copy, write_authfile

REPOSITORY = "team/app"


@pytest.fixture(params=[False, True], ids=["http", "tls"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path, users={"ci": "first-password"}, tls=request.param) as registry:
        yield registry


def pull(registry: DockerRegistry, folder: Path, password: str) -> str:
    """What skopeo says of a pull; empty where it worked."""
    target = folder / "pulled"
    pulled = skopeo_copy(
        f"docker://{registry.address}/{REPOSITORY}:1",
        f"dir:{target}",
        authfile=write_authfile(folder / "auth.json", registry.address, "ci", password),
        trusted=registry.trusted,
    )
    assert (pulled.returncode == 0) == (target / "manifest.json").exists()
    return pulled.stderr


def test_only_the_present_password_pulls(registry: DockerRegistry, tmp_path: Path) -> None:
    assert registry.push_tiny_image(REPOSITORY, "1") == f"{registry.address}/{REPOSITORY}:1"
    assert "unauthorized" in pull(registry, tmp_path, "wrong-password")
    assert pull(registry, tmp_path, "first-password") == ""


def test_a_changed_password_is_asked_for_at_once(registry: DockerRegistry, tmp_path: Path) -> None:
    registry.push_tiny_image(REPOSITORY, "1")
    registry.set_password("ci", "second-password")
    assert "unauthorized" in pull(registry, tmp_path, "first-password")
    assert pull(registry, tmp_path, "second-password") == ""


def test_a_removed_user_is_refused(registry: DockerRegistry, tmp_path: Path) -> None:
    registry.push_tiny_image(REPOSITORY, "1")
    registry.remove_user("ci")
    assert "unauthorized" in pull(registry, tmp_path, "first-password")
