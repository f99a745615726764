"""The parts of the helper's protocol that need no answer, and what the program imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pullpass
from pullpass import __version__
from tests.parts.ports import free_port
from tests.parts.wire import answer, wire_server
from tests.plugins.helper import MISS, environment, helper, settings

SOURCE = str(Path(pullpass.__file__).parents[1])
# What the program must get along with: the standard library, and these of ours.
_OURS = {
    "pullpass",
    "pullpass.plugins",
    *(
        f"pullpass.plugins.{name}"
        for name in (
            *("address", "cache", "docker", "lifetime", "proxy", "quickjson", "settings"),
            *("transport", "wire"),
        )
    ),
}
# What takes longer to load than the interpreter to start.
_SLOW = {
    *("dataclasses", "datetime", "enum", "http.client", "json", "logging", "re", "signal"),
    *("socket", "ssl", "tomllib", "typing", "urllib.request"),
}
_DUMP = f"""
import atexit, sys
sys.path.append({SOURCE!r})
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


def imported(action: str, code: int, **env: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-IS", "-c", _DUMP, action],
        input="ghcr.io",
        env=settings("http://127.0.0.1:1", **env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    names = set(done.stderr.split())
    foreign = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign <= _OURS
    assert "pullpass.plugins.docker" in foreign
    return names


@pytest.mark.parametrize("action", ["get", "list", "store", "version"])
def test_nothing_slow_is_imported(action: str) -> None:
    body = answer({"registry": "ghcr.io", "username": "u", "password": "p"})
    with wire_server(answer([]) if action == "list" else body) as server:
        names = imported(action, 1 if action == "store" else 0, PULLPASS_URL=server.url)
    assert not _SLOW & names
    if action in ("store", "version"):
        assert not {"_socket", "pullpass.plugins.transport"} & names


def test_a_proxy_is_looked_for_only_where_one_is_named() -> None:
    body = answer({"registry": "ghcr.io", "username": "u", "password": "p"})
    with wire_server(body) as server:
        proxies = {"http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": "*"}
        url, off = server.url, "off"
        assert "pullpass.plugins.proxy" in imported("get", 0, PULLPASS_URL=url, **proxies)
        without = imported("get", 0, PULLPASS_URL=url, PULLPASS_CACHE=off)
    assert not {"pullpass.plugins.proxy", "pullpass.plugins.cache"} & without


def test_an_answer_that_is_kept_loads_nothing_of_the_network(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    body = answer({"registry": "ghcr.io", "username": "u", "password": "p"})
    with wire_server(body) as server:
        env = {"PULLPASS_URL": server.url, "XDG_RUNTIME_DIR": str(tmp_path)}
        assert "_socket" in imported("get", 0, **env)
        names = imported("get", 0, **env)
    assert not {"_socket", "_json", "pullpass.plugins.transport"} & names
    assert len(server.requests) == 1
