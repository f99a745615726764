"""Node.js, and a folder with the public TypeScript client of the compatible API."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.parts.tools import require_tool

PEER = Path(__file__).parents[1] / "peers" / "autogen"
_HOW_TO_GET_IT = "apt-get install nodejs npm"


def install_autogen(folder: Path) -> str:
    """Installs @humanitec/autogen, as its lock file says, in ``folder``; returns node's path."""
    node = require_tool("node", _HOW_TO_GET_IT)
    npm = require_tool("npm", _HOW_TO_GET_IT)
    for name in ("package.json", "package-lock.json", "call.mjs"):
        shutil.copy(PEER / name, folder)
    # npm keeps what it fetched, and takes it from there the next time.
    done = subprocess.run(
        [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        env={**os.environ, "npm_config_update_notifier": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}"
    return node
