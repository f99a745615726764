"""What the journeys of a module share: a PostgreSQL cluster that they stop and pause, a server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, pullpass_server

WITH_BUILTIN = """
[[registries]]
id = "company"
registry = "registry.example.com"
type = "public"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    directory = Path(tempfile.mkdtemp(prefix="pullpass-journey-"))
    found = None
    try:
        found = PostgresCluster(directory)
        yield found
    finally:
        if found is not None:
            found.resume()
            found.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    """A server on SQLite, with the built-in record `company`."""
    folder = tmp_path_factory.mktemp("pullpass")
    config = folder / "pullpass.toml"
    config.write_text(WITH_BUILTIN)
    with pullpass_server(folder / "data", arguments=["--config", str(config)]) as server:
        yield server
