"""skopeo, the client that moves images without an engine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.parts.tools import require_tool


def write_authfile(path: Path, address: str, username: str, password: str) -> Path:
    """Writes a containers-auth.json(5) with one registry's credential, readable by us alone."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    path.touch(mode=0o600)
    path.write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return path


def skopeo_copy(
    source: str,
    destination: str,
    *,
    authfile: Path,
    trusted: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Copies an image and returns how it went; a refused credential is a result, not an error.

    ``source`` and ``destination`` are in skopeo's terms (``docker://…``, ``oci:FOLDER:TAG``).
    ``authfile`` is all that skopeo knows of credentials. ``trusted`` is a folder with the
    authority of the registry's certificate; without it the registry speaks plain HTTP.
    """
    skopeo = require_tool("skopeo", "apt-get install skopeo")
    command = [skopeo, "--insecure-policy", "copy", "--quiet", "--authfile", str(authfile)]
    for end, location in (("src", source), ("dest", destination)):
        if location.startswith("docker://"):
            command.append(
                f"--{end}-cert-dir={trusted}" if trusted else f"--{end}-tls-verify=false"
            )
    return subprocess.run(
        [*command, source, destination],
        env=os.environ if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
