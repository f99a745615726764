"""Pullpass at work on a real registry: a pull, a changed password, a rotation, a pull.

Run by ``make demo``. Everything runs on free loopback ports and in one temporary folder, and is
gone at the end. Exits with 1 at the first step that does not behave as it says.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tests.parts.process import ProcessFailed
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import PullpassServer, pullpass_server

TOOLS = ("docker-registry", "skopeo", "umoci")
RECORD = "team-registry"
USERNAME = "ci"
PASSWORD_PREFIX = "demo-password-"  # noqa: S105 - so that a test can look for one in the output


class StepFailed(Exception):
    """A step did not behave as it should; the message says how."""


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Shell:
    """Runs commands as a person would, and shows them with every known secret masked."""

    env: Mapping[str, str] = field(repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def mask(self, text: str) -> str:
        for secret, name in self.secrets.items():
            text = text.replace(secret, f"<{name}>")
        return text

    def run(self, *command: str, stdin: str = "", shown: str = "", fails: bool = False) -> str:
        """Runs ``command`` and returns its output.

        ``shown`` is how a person would type what comes in on standard input. Raises StepFailed
        where the command fails, or, with ``fails``, where it does not.
        """
        say(self.mask(f"$ {shown}{shlex.join(command)}"))
        done = subprocess.run(  # noqa: S603 - the commands are the ones in this file
            command,
            input=stdin,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in self.mask(done.stdout).splitlines():
            say(f"  {line}")
        if (done.returncode != 0) != fails:
            wanted = "a failure" if fails else "0"
            raise StepFailed(f"exit code {done.returncode}; expected {wanted}")
        return done.stdout


def demo(folder: Path, stack: ExitStack) -> None:
    """Takes every step; what it starts, ``stack`` stops."""
    password, rotated = (f"{PASSWORD_PREFIX}{secrets.token_hex(12)}" for _ in range(2))

    say("1. A registry that asks for a password, and an image in it")
    registry = stack.enter_context(docker_registry(folder, users={USERNAME: password}))
    image = registry.push_tiny_image("team/app", "1")
    say(f"   {image}, user {USERNAME}")

    say("\n2. Pullpass, with an empty database")
    server = stack.enter_context(pullpass_server(folder / "data"))
    say(f"   {server.url}, organization {server.organization}")

    shell = Shell(
        env=client_environment(server, registry, folder),
        secrets={
            password: "the registry's password",
            rotated: "the registry's new password",
            server.admin_token: "the admin token",
        },
    )

    say("\n3. The registry's credential is stored, for everything under team/")
    shell.run(
        *("pullpass", "registry", "create", RECORD, "--registry", f"{registry.address}/team"),
        *("--type", "basic", "--username", USERNAME, "--password-stdin"),
        stdin=password,
        shown='printf %s "$PASSWORD" | ',
    )

    say("\n4. Which credential will the image get?")
    matched = shell.run("pullpass", "match", image)
    if RECORD not in matched:
        raise StepFailed(f"the image does not match {RECORD}")

    say("\n5. skopeo pulls it; docker-credential-pullpass hands out the credential")
    say(f"   {shell.env['REGISTRY_AUTH_FILE']} holds no credential, only the helper's name:")
    say(f"   {Path(shell.env['REGISTRY_AUTH_FILE']).read_text()}")
    shell.run(
        *("docker-credential-pullpass", "get"),
        stdin=registry.address,
        shown=f"printf %s {registry.address} | ",
    )
    pull(shell, image, folder / "first")

    say("\n6. The registry's password changes: the stored one is refused, as it should be")
    registry.set_password(USERNAME, rotated)
    refused = shell.run(*pull_command(image, folder / "second"), fails=True)
    if "unauthorized" not in refused:
        raise StepFailed("the pull failed, but not because the registry refused the credential")

    say("\n7. One command rotates it in Pullpass")
    shell.run(
        *("pullpass", "registry", "update", RECORD, "--username", USERNAME, "--password-stdin"),
        stdin=rotated,
        shown='printf %s "$NEW_PASSWORD" | ',
    )

    say("\n8. The same pull works again; nothing changed where it runs")
    pull(shell, image, folder / "third")


def client_environment(
    server: PullpassServer, registry: DockerRegistry, folder: Path
) -> dict[str, str]:
    """What the machine that pulls has: Pullpass's address and token, and the helper's name.

    The helper keeps no answer (PULLPASS_CACHE=off): the rotation counts at once.
    """
    authfile = folder / "auth.json"
    authfile.write_text(json.dumps({"credHelpers": {registry.address: "pullpass"}}))
    commands = str(Path(sys.executable).parent)
    return {
        **server.client_env,
        "PATH": os.pathsep.join([commands, os.environ["PATH"]]),
        "REGISTRY_AUTH_FILE": str(authfile),
    }


def pull_command(image: str, target: Path) -> list[str]:
    return [
        *("skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"),
        *(f"docker://{image}", f"dir:{target}"),
    ]


def pull(shell: Shell, image: str, target: Path) -> None:
    """Raises StepFailed where the image is not in ``target`` afterwards."""
    shell.run(*pull_command(image, target))
    if not (target / "manifest.json").exists():
        raise StepFailed("skopeo reported no failure, but the image is not there")
    say(f"  pulled: {target.name}/manifest.json and its blobs")


def end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + _signal)


def main() -> int:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        names = " ".join(missing)
        sys.stderr.write(f"The demo needs {names}: sudo apt-get install {names}\n")
        return 1
    signal.signal(signal.SIGTERM, end)
    try:
        with tempfile.TemporaryDirectory(prefix="pullpass-demo-") as folder, ExitStack() as stack:
            demo(Path(folder), stack)
    except KeyboardInterrupt:
        say("\nInterrupted; everything is stopped and removed.")
        return 130
    except (StepFailed, ProcessFailed, AssertionError) as error:
        say(f"\nThe demo failed: {error}")
        return 1
    say("\nDone: everything is stopped and removed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
