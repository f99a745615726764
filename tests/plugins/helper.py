"""Runs ``docker-credential-pullpass`` as a container client does, and the kubelet's plugin."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from pullpass.client.models import CredsFields, RegistryFields
from tests.parts.server import installed

MISS = "credentials not found in native keychain"
TOKEN = "ppt_not-a-real-one"


def environment(**settings: str) -> dict[str, str]:
    """An environment with these settings, and none of the machine's that would change the way."""
    ours = ("pullpass_", "ssl_cert_", "xdg_")
    return (
        {
            name: value
            for name, value in os.environ.items()
            if not name.lower().startswith(ours) and not name.lower().endswith("_proxy")
        }
        | {"HOME": "/nonexistent"}
        | settings
    )


def settings(url: str, **more: str) -> dict[str, str]:
    given = {"PULLPASS_URL": url, "PULLPASS_ORG": "acme", "PULLPASS_TOKEN": TOKEN}
    return environment(**(given | more))


def basic(record_id: str, registry: str, password: str) -> RegistryFields:
    """A record with that password."""
    creds: CredsFields = {"username": "robot", "password": password}
    return {"id": record_id, "registry": registry, "type": "basic", "creds": creds}


def helper(
    *arguments: str, env: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return run("docker-credential-pullpass", *arguments, env=env, stdin=stdin)


def run(
    program: str, *arguments: str, env: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed(program), *arguments],
        input=stdin,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
