"""What the journeys of a module share: a PostgreSQL cluster, a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts.postgres import PostgresCluster, postgres_cluster
from tests.parts.server import PullpassServer, pullpass_server

WITH_BUILTIN = """
[[registries]]
id = "company"
registry = "registry.example.com"
type = "public"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    """A server on SQLite, with the built-in record `company`."""
    folder = tmp_path_factory.mktemp("pullpass")
    config = folder / "pullpass.toml"
    config.write_text(WITH_BUILTIN)
    with pullpass_server(folder / "data", arguments=["--config", str(config)]) as server:
        yield server
