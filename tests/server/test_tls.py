"""HTTPS by two options."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from pullpass.server import settings
from pullpass.server.settings import SettingsError
from tests.parts.certificates import make_certificates
from tests.parts.ports import free_port
from tests.parts.process import Process
from tests.parts.server import clean_environment, initialize, installed


def test_a_server_with_a_certificate_speaks_https(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "tls")
    token = initialize(tmp_path / "data", "acme", env={})
    port = free_port()
    server = Process(
        [
            *(installed("pullpass"), "serve", "--data-dir", str(tmp_path / "data")),
            *("--port", str(port), "--tls-cert", str(made.certificate), "--tls-key", str(made.key)),
        ],
        stdout=tmp_path / "out",
        env=clean_environment({}),
    )
    url = f"https://127.0.0.1:{port}"
    trust = ssl.create_default_context(cafile=made.authority)

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/health/ready", verify=trust).status_code == 200
        except httpx.ConnectError:
            return False

    def whoami(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed("pullpass"), *options, "whoami"],
            env=clean_environment({"PULLPASS_TOKEN": token}),
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        server.wait_until(is_ready)
        done = whoami("--url", url, "--ca-bundle", str(made.authority))
        assert done.returncode == 0, done.stderr
        assert "give that as the CA bundle, or in SSL_CERT_FILE." in whoami("--url", url).stderr
        plain = f"http://127.0.0.1:{port}"
        said = whoami("--url", plain).stderr
        assert said.startswith(f"pullpass: No answer from {plain}: it does not speak HTTP, so")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/health/live")
        assert f'"url": "{url}"' in server.output()
    finally:
        assert server.stop() == 0


def test_a_certificate_that_does_not_fit_is_named_at_the_start(tmp_path: Path) -> None:
    one, other = make_certificates(tmp_path / "one"), make_certificates(tmp_path / "other")
    for key in (other.key, tmp_path / "missing"):
        done = subprocess.run(
            [
                *(installed("pullpass"), "serve", "--data-dir", str(tmp_path / "data")),
                *("--tls-cert", str(one.certificate), "--tls-key", str(key)),
            ],
            env=clean_environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert str(key) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="go together"):
        settings.load({"tls_cert": "cert.pem"}, environment={})
