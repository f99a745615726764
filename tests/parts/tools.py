"""The programs that the tests use and do not install themselves (scripts/test-tools.sh does)."""

from __future__ import annotations

import shutil

import pytest


def require_tool(name: str, how_to_get_it: str) -> str:
    """The path of a program on PATH; without it, the test is skipped and says how to get it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: {how_to_get_it}")
    return path
