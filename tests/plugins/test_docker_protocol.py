"""The parts of the helper's protocol that need no answer, and what the program imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pullpass import __version__
from tests.parts.ports import free_port
from tests.parts.wire import answer, wire_server
from tests.plugins.helper import MISS, environment, helper, settings

# What the program must get along with: the standard library, and these of ours.
_OURS = {
    "pullpass",
    "pullpass.plugins",
    "pullpass.plugins.docker",
    "pullpass.plugins.proxy",
    "pullpass.plugins.settings",
    "pullpass.plugins.transport",
}
_DUMP = """
import atexit, sys
before = set(sys.modules)
atexit.register(lambda: print(*sorted(set(sys.modules) - before), file=sys.stderr))
sys.argv = ["docker-credential-pullpass", sys.argv[1]]
from pullpass.plugins.docker import main
sys.exit(main())
"""


def test_no_address_is_the_protocols_own_sentence() -> None:
    done = helper("get", stdin="\n", env=settings("http://127.0.0.1:1"))
    assert (done.returncode, done.stdout) == (1, "no credentials server URL\n")


@pytest.mark.parametrize(
    ("action", "advice"),
    [("store", "pullpass registry create"), ("erase", "pullpass registry delete")],
)
def test_what_is_not_done_here_says_where_it_is(action: str, advice: str) -> None:
    sent = '{"ServerURL": "ghcr.io", "Username": "u", "Secret": "hunter2"}'
    done = helper(action, stdin=sent, env=environment())
    assert done.returncode == 1
    assert advice in done.stdout
    assert MISS not in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_version() -> None:
    done = helper("version", env=environment())
    assert (done.returncode, done.stdout) == (
        0,
        f"docker-credential-pullpass (pullpass) {__version__}\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code"), [((), 1), (("fetch",), 1), (("get", "x"), 1), (("--help",), 0)]
)
def test_usage(arguments: tuple[str, ...], code: int) -> None:
    done = helper(*arguments, env=environment())
    assert (done.returncode, done.stderr) == (code, "")
    assert "get|list|store|erase|version" in done.stdout


@pytest.mark.parametrize("action", ["get", "list", "store", "version"])
def test_only_the_standard_library_is_imported(action: str) -> None:
    body = answer({"registry": "ghcr.io", "username": "u", "password": "p"})
    with wire_server(answer([]) if action == "list" else body) as server:
        done = subprocess.run(
            [sys.executable, "-c", _DUMP, action],
            input="ghcr.io",
            env=settings(server.url, http_proxy=f"http://127.0.0.1:{free_port()}", no_proxy="*"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == (1 if action == "store" else 0), done.stdout
    imported = set(done.stderr.split())
    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign <= _OURS
    assert "pullpass.plugins.docker" in foreign
    assert not {"typing", "dataclasses", "argparse", "logging", "urllib.request"} & imported
    if action in ("store", "version"):
        assert not {"socket", "http.client", "json"} & imported
