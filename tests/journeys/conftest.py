"""A PostgreSQL cluster for a module's journeys: they stop and pause it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.postgres import PostgresCluster


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
