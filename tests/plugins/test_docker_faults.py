"""The credential helper where Pullpass refuses, is not there, or is something else.

Docker shows what stands on stdout; so that is where every reason is, in one line, with exit
code 1, and it must not be the sentence that makes Docker go on without credentials.
"""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from tests.parts.certificates import make_certificates
from tests.parts.ports import free_port
from tests.parts.server import installed
from tests.parts.wire import Scripted, answer, refusal, wire_server
from tests.plugins.helper import MISS, TOKEN, environment, helper, settings

FOUND = {"id": "ghcr", "registry": "ghcr.io", "type": "basic", "username": "u", "password": "p"}
GOT = '{"ServerURL": "ghcr.io", "Username": "u", "Secret": "p"}\n'


def failure(*script: Scripted, **more: str) -> str:
    """The one line of a `get` that fails."""
    with wire_server(*script) as server:
        done = helper("get", stdin="ghcr.io", env=settings(server.url, **more))
    return the_line(done.returncode, done.stdout, done.stderr)


def the_line(code: int, stdout: str, stderr: str) -> str:
    assert code == 1
    assert stderr == ""
    assert stdout.startswith("docker-credential-pullpass: ")
    assert stdout.count("\n") == 1
    assert stdout.endswith("\n")
    assert MISS not in stdout
    assert TOKEN not in stdout
    return stdout


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            refusal(401, "unauthenticated", "The token has expired."),
            "The token has expired; check PULLPASS_TOKEN\n",
        ),
        (refusal(403, "forbidden", "Not for this role."), "Not for this role\n"),
        (
            refusal(404, "organization_not_found", "No such organization."),
            "No such organization; check PULLPASS_ORG\n",
        ),
        (refusal(502, "exchange_failed", "AWS refused the key."), "AWS refused the key\n"),
        (refusal(503, "unavailable", "Starting."), "Starting; try again later\n"),
        *(
            (
                Scripted(status, b"<html>"),
                f"the server, or a proxy before it, answered {status}; try again later\n",
            )
            for status in (502, 503, 504)
        ),
        (Scripted(404, b"<html>"), "answered 404, and not as Pullpass does; check PULLPASS_URL\n"),
        (Scripted(500, b""), "answered 500, and not as Pullpass does; check PULLPASS_URL\n"),
        (Scripted(200, b"<html>"), "the answer is not one of Pullpass; check PULLPASS_URL\n"),
        (answer({"ok": True}), "the answer is not one of Pullpass; check PULLPASS_URL\n"),
        (answer([FOUND]), "the answer is not one of Pullpass; check PULLPASS_URL\n"),
        (Scripted(200, b'{"regis', declared=900), "broke off"),
        (refusal(400, "invalid_registry", "Two\nlines\x1b[2J."), "Two lines [2J\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_server_says_is_told(script: Scripted, said: str) -> None:
    assert said in failure(script)


def test_a_server_without_tls() -> None:
    with wire_server(answer(FOUND)) as server:
        secure = settings(server.url.replace("http:", "https:"))
        done = helper("get", stdin="ghcr.io", env=secure)
    said = the_line(done.returncode, done.stdout, done.stderr)
    assert "it does not speak TLS: is PULLPASS_URL to begin with http:// instead?" in said


@pytest.mark.parametrize(
    ("program", "question"),
    [
        ("docker-credential-pullpass get", "ghcr.io"),
        (
            "pullpass-credential-provider",
            '{"apiVersion": "credentialprovider.kubelet.k8s.io/v1", '
            '"kind": "CredentialProviderRequest", "image": "ghcr.io/acme/app"}',
        ),
    ],
    ids=["docker", "kubelet"],
)
def test_an_answer_that_cannot_be_written(program: str, question: str) -> None:
    name, _, action = program.partition(" ")
    with wire_server(answer(FOUND)) as server, Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [installed(name), *action.split()],
            input=question,
            env=settings(server.url, PULLPASS_CACHE="off"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        f"{name}: the answer cannot be written ([Errno 28] No space left on device)\n"
    )


def test_a_missing_server() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = helper("get", stdin="ghcr.io", env=settings(url))
    line = the_line(done.returncode, done.stdout, done.stderr)
    assert url in line
    assert "check PULLPASS_URL and that the server is running" in line


@pytest.mark.parametrize("slow", [Scripted(hang=True), Scripted(body=b" " * 10_000, drip=True)])
def test_a_server_that_does_not_come_to_an_end(slow: Scripted) -> None:
    line = failure(slow, PULLPASS_TIMEOUT="0.5")
    assert "did not answer within 0.5 s" in line


def test_what_is_not_http(tmp_path: Path) -> None:
    with wire_server(certificates=make_certificates(tmp_path)) as server:
        url = server.url.replace("https", "http")
        done = helper("get", stdin="ghcr.io", env=settings(url))
    assert "check PULLPASS_URL" in the_line(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_token_follows_a_redirect(status: int) -> None:
    with wire_server(answer(FOUND)) as elsewhere:
        line = failure(Scripted(status, b"", {"Location": f"{elsewhere.url}/"}))
        assert elsewhere.requests == []
    assert "redirect" in line


def test_missing_settings_are_named_all_at_once() -> None:
    done = helper("get", stdin="ghcr.io", env=environment())
    line = the_line(done.returncode, done.stdout, done.stderr)
    for name in ("PULLPASS_URL", "PULLPASS_ORG", "PULLPASS_TOKEN", "PULLPASS_TOKEN_FILE"):
        assert name in line


@pytest.mark.parametrize(
    "wrong",
    [
        {"PULLPASS_TOKEN": "hunter2 and more"},
        {"PULLPASS_TOKEN": "hunter2\nX-Other: 1"},
        {"PULLPASS_URL": "https://robot:hunter2@127.0.0.1"},
        {"PULLPASS_URL": "127.0.0.1:8080"},
        {"PULLPASS_URL": "http://[hunter2"},
        {"PULLPASS_URL": "http://127.0.0.1/ä"},
        {"PULLPASS_TIMEOUT": "soon"},
        {"PULLPASS_TIMEOUT": "nan"},
        {"PULLPASS_TOKEN": "", "PULLPASS_TOKEN_FILE": "/nowhere"},
        {"PULLPASS_URL": "https://127.0.0.1", "PULLPASS_CA_BUNDLE": "/nowhere"},
        {"http_proxy": "socks5://robot:hunter2@127.0.0.1:1080"},
    ],
    ids=lambda wrong: " ".join(wrong.values()).strip(),
)
def test_settings_that_cannot_be_used_are_named_and_not_shown(wrong: dict[str, str]) -> None:
    done = helper("get", stdin="ghcr.io", env=settings("http://127.0.0.1:1", **wrong))
    line = the_line(done.returncode, done.stdout, done.stderr)
    assert any(name in line for name in wrong)
    assert "hunter2" not in line


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with wire_server(answer(FOUND)) as server:
        env = settings(server.url, PULLPASS_TOKEN="", PULLPASS_TOKEN_FILE=str(file))
        assert helper("get", stdin="ghcr.io\n", env=env).stdout == GOT
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert server.requests[0].target == "/orgs/acme/host-creds?host=ghcr.io"


def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    with wire_server(answer(FOUND), certificates=made) as server:
        unknown = helper("get", stdin="ghcr.io", env=settings(server.url))
        assert "PULLPASS_CA_BUNDLE" in the_line(unknown.returncode, unknown.stdout, unknown.stderr)
        assert server.requests == []
        for name in ("PULLPASS_CA_BUNDLE", "SSL_CERT_FILE"):
            env = settings(server.url, **{name: str(made.authority)})
            assert helper("get", stdin="ghcr.io", env=env).stdout == GOT


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_a_proxy_is_asked_for_the_whole_address(variable: str) -> None:
    with wire_server(answer(FOUND)) as proxy:
        address = f"http://robot:s%40fe@127.0.0.1:{proxy.port}"
        env = settings("http://pullpass.example:81/base", **{variable: address})
        assert helper("get", stdin="ghcr.io", env=env).stdout == GOT
    request = proxy.requests[0]
    assert request.target == ("http://pullpass.example:81/base/orgs/acme/host-creds?host=ghcr.io")
    user = base64.b64encode(b"robot:s@fe").decode()
    assert request.headers["proxy-authorization"] == f"Basic {user}"


def test_a_proxy_sees_nothing_of_what_goes_to_an_https_server() -> None:
    with wire_server(Scripted(403, b"")) as proxy:
        env = settings("https://pullpass.example", https_proxy=f"127.0.0.1:{proxy.port}")
        done = helper("get", stdin="ghcr.io", env=env)
    assert "403" in the_line(done.returncode, done.stdout, done.stderr)
    assert [(request.method, request.target) for request in proxy.requests] == [
        ("CONNECT", "pullpass.example:443")
    ]
    assert "authorization" not in proxy.requests[0].headers


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("127.0.0.1", True),
        ("*", True),
        ("example.com, 127.0.0.0/8", True),
        ("127.0.0.1:{port}", True),
        ("127.0.0.1:1", False),
        (".0.0.1", True),
        ("0.0.1", True),
        ("27.0.0.1", False),
        ("10.0.0.0/8", False),
        ("localhost", False),
    ],
)
def test_no_proxy(no_proxy: str, direct: bool) -> None:
    with wire_server(answer(FOUND)) as server, wire_server(Scripted(502, b"")) as proxy:
        env = settings(
            server.url,
            http_proxy=f"http://127.0.0.1:{proxy.port}",
            no_proxy=no_proxy.format(port=server.port),
        )
        helper("get", stdin="ghcr.io", env=env)
    assert (len(server.requests), len(proxy.requests)) == ((1, 0) if direct else (0, 1))


def test_a_cgi_request_cannot_set_the_proxy() -> None:
    with wire_server(answer(FOUND)) as server:
        env = settings(server.url, HTTP_PROXY="http://127.0.0.1:1")
        assert helper("get", stdin="ghcr.io", env=env).stdout == GOT
