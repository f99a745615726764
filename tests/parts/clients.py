"""The container clients of this machine: one pull by each, from a registry without TLS."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.parts.tools import require_tool

# They look a credential up by the path of an image; the others by its host alone.
BY_PATH = ("skopeo", "podman", "buildah", "crane")
BY_HOST = ("docker", "oras")
_HOW_TO_GET = {
    "crane": "go install github.com/google/go-containerregistry/cmd/crane@latest",
    "oras": "go install oras.land/oras/cmd/oras@latest",
    "docker": "apt-get install docker.io, or the docker-cli package",
}
_SETTINGS = ("docker_", "registry_", "xdg_", "containers_")


def pull(
    tool: str, image: str, config: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Pulls an image (docker and oras: its manifest), with what ``config`` holds of credentials.

    ``config`` is a file named `config.json`. A refused credential is a result, not an error;
    where the tool is not installed, the test is skipped.
    """
    program = require_tool(tool, _HOW_TO_GET.get(tool, f"apt-get install {tool}"))
    # podman wants the path of its storage in 50 characters.
    with tempfile.TemporaryDirectory(prefix="pp-") as folder:
        return subprocess.run(
            [program, *_arguments(tool, image, config, Path(folder))],
            env={**_machine(), "HOME": folder, "DOCKER_CONFIG": str(config.parent), **(env or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def _arguments(tool: str, image: str, config: Path, folder: Path) -> list[str]:
    authfile = f"--authfile={config}"
    match tool:
        case "skopeo":
            copy = ["--insecure-policy", "copy", "--src-tls-verify=false", authfile]
            return [*copy, f"docker://{image}", f"dir:{folder / 'pulled'}"]
        case "podman" | "buildah":
            policy = folder / "policy.json"
            policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
            storage = ["--storage-driver=vfs", f"--root={folder / 's'}", f"--runroot={folder}/r"]
            options = ["--tls-verify=false", f"--signature-policy={policy}", authfile]
            return [*storage, "pull", *options, image]
        case "crane":
            return ["pull", "--insecure", image, str(folder / "pulled.tar")]
        case "docker":
            return ["manifest", "inspect", "--insecure", image]
        case "oras":
            return ["manifest", "fetch", "--plain-http", f"--registry-config={config}", image]
    raise ValueError(tool)


def _machine() -> dict[str, str]:
    """This machine's environment without the settings that would change the way."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(_SETTINGS) and not name.lower().endswith("_proxy")
    }
