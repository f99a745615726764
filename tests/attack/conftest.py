"""The whole application, as an attacker finds it who has a token of a small role, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import Api, open_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async for found in open_api(tmp_path / "data"):
        yield found
