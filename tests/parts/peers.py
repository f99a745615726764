"""Programs in Go that answer as others' software does: built from tests/peers when needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.parts.tools import require_tool

_PEERS = Path(__file__).parents[1] / "peers"


def built_peer(name: str, folder: Path) -> Path:
    """The program ``tests/peers/NAME``, built into ``folder``."""
    go = require_tool("go", "https://go.dev/doc/install")
    binary = folder / name
    built = subprocess.run(
        [go, "build", "-o", binary, "."],
        cwd=_PEERS / name,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return binary
