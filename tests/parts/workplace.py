"""The machine of someone who reads the documentation: an environment with all that a page needs."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts.oidc import IssuerServer
from tests.parts.registry import docker_registry
from tests.parts.server import pullpass_server
from tests.parts.tools import require_tool

REGISTRY_PASSWORD = "the registry's password"
# The programs of the pages that not every machine has.
_TOOLS = {
    "buildah": "apt-get install buildah",
    "curl": "apt-get install curl",
    "docker": "apt-get install docker.io, or the docker-cli package",
    "jq": "apt-get install jq",
    "podman": "apt-get install podman",
    "skopeo": "apt-get install skopeo",
    "sqlite3": "apt-get install sqlite3",
}
_SETTINGS = (
    *("pullpass_", "ssl_cert_", "docker_", "registry_", "curl_", "xdg_", "containers_"),
    # A keyring is somebody's own.
    *("dbus_", "display"),
)


@dataclass(frozen=True, slots=True)
class Workplace:
    """``env`` holds an administrator's token. ``names``: what the pages call what is here."""

    folder: Path
    env: dict[str, str]
    names: dict[str, str]

    def as_documented(self, output: str) -> str:
        for actual, name in self.names.items():
            output = output.replace(actual, name)
        return output


@contextmanager
def workplace(commands: str) -> Iterator[Workplace]:
    """A place for these commands, with a fresh server that has its data in ./data.

    Where they name $REGISTRY, there is one that holds the image team/app:1; its user is `robot`,
    the password stands in $REGISTRY_PASSWORD, and the pages call it registry.example.com.
    Where they name $ISSUER, there is one of identity tokens, and a job's token is in ./job.jwt.
    """
    for tool, how_to_get_it in _TOOLS.items():
        if re.search(rf"(?<![\w/.-]){tool}(?![\w/.-])", commands):
            require_tool(tool, how_to_get_it)
    with ExitStack() as stack:
        # Not pytest's own folder: podman wants the path of its storage in 50 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pp-")))
        env = {**_inherited(), **_home(folder)}
        names = {str(folder): "/srv/pullpass"}
        # It may try the registry, which is on loopback.
        settings = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
        server = stack.enter_context(pullpass_server(folder / "data", env=settings))
        env["PULLPASS_URL"] = server.url
        env["PULLPASS_ORG"] = server.organization
        env["PULLPASS_TOKEN"] = server.admin_token
        if "$REGISTRY" in commands:
            users = {"robot": REGISTRY_PASSWORD}
            registry = stack.enter_context(docker_registry(folder, users=users))
            registry.push_tiny_image("team/app", "1")
            _allow_plain_http(Path(env["HOME"]), registry.address)
            env["REGISTRY"] = registry.address
            env["REGISTRY_PASSWORD"] = REGISTRY_PASSWORD
            names[registry.address] = "registry.example.com"
        if "$ISSUER" in commands:
            issuer = stack.enter_context(IssuerServer())
            (folder / "job.jwt").write_text(issuer.token())
            env["ISSUER"] = issuer.name
            env["ADMIN_TOKEN"] = server.admin_token
            names[issuer.name] = "https://issuer.example.com"
        yield Workplace(folder, env, names)


def _inherited() -> dict[str, str]:
    """This machine's environment without the settings that would change a page's way."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(_SETTINGS) and not name.lower().endswith("_proxy")
    }


def _home(folder: Path) -> dict[str, str]:
    """A new user's environment: container clients that trust and keep everything in here."""
    home = folder / "home"
    (home / ".config" / "containers").mkdir(parents=True)
    policy = {"default": [{"type": "insecureAcceptAnything"}]}
    (home / ".config" / "containers" / "policy.json").write_text(json.dumps(policy))
    storage = home / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
    )
    return {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "LC_ALL": "C.UTF-8",
    }


def _allow_plain_http(home: Path, address: str) -> None:
    (home / ".config" / "containers" / "registries.conf").write_text(
        f'[[registry]]\nlocation = "{address}"\ninsecure = true\n'
    )
