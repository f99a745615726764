"""A certificate for 127.0.0.1, signed by an authority made for the occasion."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.parts.tools import require_tool

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


@dataclass(frozen=True, slots=True)
class Certificates:
    """``authority`` is what a client has to trust; it stands alone in its folder."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Writes an authority and a server certificate for 127.0.0.1 and localhost into ``folder``."""
    openssl = require_tool("openssl", "apt-get install openssl")
    trusted = folder / "trusted"
    trusted.mkdir(parents=True)
    made = Certificates(trusted / "ca.crt", folder / "server.crt", folder / "server.key")
    authority_key = folder / "ca.key"

    def request(*arguments: str | Path) -> None:
        subprocess.run(
            [openssl, "req", "-x509", *_NEW_KEY, *arguments], check=True, capture_output=True
        )

    request("-subj", "/CN=Test authority", "-keyout", authority_key, "-out", made.authority)
    request(
        *("-subj", "/CN=127.0.0.1", "-keyout", made.key, "-out", made.certificate),
        *("-CA", made.authority, "-CAkey", authority_key),
        *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
    return made
