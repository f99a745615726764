from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pullpass.cli.main import run
from tests.parts.server import PullpassServer, pullpass_server


@dataclass(frozen=True, slots=True)
class Done:
    """How a command line went."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Runs ``pullpass ARGUMENTS`` in this process, with nobody's settings but those given.

    Its user has a home of their own, in ``tmp_path / "home"``, and no keyring.
    """
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (
        *("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"),
        *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"),
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def execute(*arguments: str, stdin: str | bytes = b"", **settings: str) -> Done:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        with monkeypatch.context() as patch:
            for name in ("URL", "ORG", "TOKEN", "TOKEN_FILE", "CA_BUNDLE", "TIMEOUT"):
                patch.delenv(f"PULLPASS_{name}", raising=False)
            for name, value in settings.items():
                patch.setenv(f"PULLPASS_{name.upper()}", value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
            code = run(arguments)
        captured = capsys.readouterr()
        return Done(int(code), captured.out, captured.err)

    return execute


@pytest.fixture(scope="session")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    """One real server for the tests of this folder; each takes records of its own."""
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data") as server:
        yield server


@pytest.fixture
def acme(command: Command, pullpass: PullpassServer) -> Command:
    """``pullpass ARGUMENTS`` as the administrator of the real server."""

    def execute(*arguments: str, stdin: str = "", token: str = pullpass.admin_token) -> Done:
        organization = pullpass.organization
        return command(*arguments, stdin=stdin, url=pullpass.url, org=organization, token=token)

    return execute
