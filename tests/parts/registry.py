"""A real, password-protected registry: Debian's docker-registry (distribution 2.8) on loopback."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import bcrypt

from tests.parts.certificates import Certificates, make_certificates
from tests.parts.ports import free_port
from tests.parts.process import Process
from tests.parts.skopeo import skopeo_copy, write_authfile
from tests.parts.tools import require_tool


@dataclass
class DockerRegistry:
    """A running registry. ``address`` is ``127.0.0.1:PORT``, as it stands in image references."""

    address: str
    folder: Path
    certificates: Certificates | None
    users: dict[str, str] = field(repr=False)

    @property
    def trusted(self) -> Path | None:
        """The folder with the authority to trust; None where the registry speaks plain HTTP."""
        return self.certificates.authority.parent if self.certificates else None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificates else 'http'}://{self.address}"

    @property
    def htpasswd(self) -> Path:
        return self.folder / "htpasswd"

    def set_password(self, username: str, password: str) -> None:
        """Changes a user's password, or adds a user; the registry asks for it from now on.

        The registry looks at the file's modification time at every request
        (https://github.com/distribution/distribution/blob/v2.8.2/registry/auth/htpasswd/access.go).
        """
        self.users[username] = password
        self._write_users()

    def remove_user(self, username: str) -> None:
        """The registry refuses this user from now on."""
        del self.users[username]
        self._write_users()

    def authfile(self, path: Path, username: str) -> Path:
        """Writes a client's configuration with this user's present password."""
        return write_authfile(path, self.address, username, self.users[username])

    def push_tiny_image(self, repository: str, tag: str, *, username: str | None = None) -> str:
        """Makes an image of one small file and pushes it, as the first user unless told.

        Returns its reference, ``127.0.0.1:PORT/repository:tag``.
        """
        reference = f"{self.address}/{repository}:{tag}"
        pushed = skopeo_copy(
            _tiny_image(self.folder),
            f"docker://{reference}",
            authfile=self.authfile(self.folder / "push.json", username or next(iter(self.users))),
            trusted=self.trusted,
        )
        if pushed.returncode:
            raise AssertionError(f"pushing {reference} failed: {pushed.stderr}")
        return reference

    def _write_users(self) -> None:
        lines = (
            # The cheapest cost that bcrypt has: these passwords guard nothing.
            f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
            for name, password in self.users.items()
        )
        fresh = self.htpasswd.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.replace(self.htpasswd)


@contextmanager
def docker_registry(
    tmp_path: Path,
    *,
    users: Mapping[str, str],
    tls: bool = False,
    auth: Mapping[str, object] | None = None,
) -> Iterator[DockerRegistry]:
    """A registry that serves until the block ends; ``users`` are names and passwords. ``auth`` is
    another way to log in than by them, in the terms of the registry's own configuration.

    It keeps all it has in ``tmp_path``, on a free port, with ``tls`` behind a certificate of its
    own authority. Where docker-registry is not installed, the test is skipped.
    """
    program = require_tool("docker-registry", "apt-get install docker-registry")
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    registry = DockerRegistry(
        address=f"127.0.0.1:{free_port()}",
        folder=folder,
        certificates=make_certificates(folder / "certificates") if tls else None,
        users=dict(users),
    )
    registry._write_users()
    config = folder / "config.yml"
    config.write_text(json.dumps(_configuration(registry, auth)))  # JSON is YAML
    process = Process(
        [program, "serve", str(config)],
        stdout=folder / "log",
        # Variables such as REGISTRY_HTTP_ADDR would override the configuration.
        env={"PATH": os.environ["PATH"]},
    )
    try:
        process.wait_until(lambda: _answers(registry))
        yield registry
    finally:
        process.stop()


def _configuration(
    registry: DockerRegistry, auth: Mapping[str, object] | None
) -> dict[str, object]:
    http: dict[str, object] = {"addr": registry.address}
    if registry.certificates:
        http["tls"] = {
            "certificate": str(registry.certificates.certificate),
            "key": str(registry.certificates.key),
        }
    return {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(registry.folder / "storage")},
            "delete": {"enabled": True},
        },
        "http": http,
        "auth": auth or {"htpasswd": {"realm": "tests", "path": str(registry.htpasswd)}},
    }


def _answers(registry: DockerRegistry) -> bool:
    context = None
    if registry.certificates:
        context = ssl.create_default_context(cafile=str(registry.certificates.authority))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        opener.open(f"{registry.url}/v2/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == HTTPStatus.UNAUTHORIZED
    except OSError:
        return False
    raise AssertionError("the registry let a caller in without a password")


def _tiny_image(folder: Path) -> str:
    """An OCI image of one file, made once per folder; returns it in skopeo's terms."""
    umoci = require_tool("umoci", "apt-get install umoci")
    layout, content = folder / "image", folder / "hello"
    image = f"{layout}:tiny"
    if not layout.exists():
        content.write_text("hello\n")
        for arguments in (
            ["init", "--layout", str(layout)],
            ["new", "--image", image],
            ["insert", "--rootless", "--image", image, str(content), "/hello"],
        ):
            subprocess.run([umoci, *arguments], check=True, capture_output=True)
    return f"oci:{image}"
