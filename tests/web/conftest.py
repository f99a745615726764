"""A running server with a real registry behind it, and a real browser before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.api.conftest import Api, open_api
from tests.parts.api_client import ApiClient
from tests.parts.browser import chromium
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import PullpassServer, pullpass_server
from tests.web.person import Person
from tests.web.visitor import Visitor

REGISTRY_PASSWORD = "the registry's password"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Gone with its module: while it is there, no asynchronous test can run."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    folder = tmp_path_factory.mktemp("registry")
    with docker_registry(folder, users={"robot": REGISTRY_PASSWORD}) as found:
        found.push_tiny_image("team/app", "1")
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    folder: Path = tmp_path_factory.mktemp("server")
    # The registry that is checked is on loopback.
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with pullpass_server(folder / "data", env=env) as running:
        yield running


@pytest.fixture
def client(server: PullpassServer) -> Iterator[ApiClient]:
    """Calls as the administrator; no record is left behind."""
    with ApiClient(server) as found:
        yield found
        for record in found.call("GET", "registries").json():
            found.call("DELETE", f"registries/{record['id']}")


@pytest.fixture
def person(browser: Browser, server: PullpassServer) -> Iterator[Person]:
    """Somebody at a fresh browser, not signed in."""
    with Person.at(browser, server) as found:
        yield found


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async for found in open_api(tmp_path / "data"):
        yield found


@pytest.fixture
async def admin(api: Api) -> Visitor:
    visitor = Visitor(api)
    await visitor.sign_in(api.admin_token)
    return visitor
