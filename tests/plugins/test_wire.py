"""The plugins' own HTTP: what it reads as an answer, and what it refuses to guess at."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pullpass.plugins import address, quickjson
from pullpass.plugins.settings import Failed
from pullpass.plugins.wire import Broken, Deadline, exchange, tunnel

REQUEST = b"GET / HTTP/1.1\r\nHost: p.example\r\n\r\n"


def asked(answer: bytes, *, keep_open: bool = False) -> tuple[int, bytes]:
    """What ``exchange`` makes of ``answer``, with which the other end closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def serve() -> None:
            assert theirs.recv(65536) == REQUEST
            theirs.sendall(answer)
            if not keep_open:
                theirs.shutdown(socket.SHUT_WR)

        server = threading.Thread(target=serve)
        server.start()
        try:
            return exchange(ours, REQUEST, Deadline(30))
        finally:
            server.join()


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}")),
        (b"HTTP/1.1 404 \r\ncontent-length:2 \r\n\r\n{}more", (404, b"{}")),
        (b"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", (503, b"")),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", (204, b"")),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", (200, b"to the end")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b"3\r\nabc\r\n0A;name=x\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            (200, b"abc0123456789"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n"
            b"\r\n{}",
            (200, b"{}"),
        ),
    ],
)
def test_an_answer(answer: bytes, found: tuple[int, bytes]) -> None:
    assert asked(answer) == found


def test_the_end_of_the_body_is_the_end_of_the_answer() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert asked(answer, keep_open=True) == (200, b"{}")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\n Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000,
        CHUNKED,
        CHUNKED + b"3\r\nab",
        CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"fffffffff\r\n",
        CHUNKED + b"7fffffff\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        CHUNKED + b"1" * 70_000,
    ],
)
def test_what_is_no_whole_answer(answer: bytes) -> None:
    with pytest.raises(Broken):
        asked(answer)


def test_silence_ends_with_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        exchange(ours, REQUEST, Deadline(0.05))


def test_a_proxy_says_nothing_before_the_server_does() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        assert tunnel(ours, REQUEST, Deadline(30)) == 200
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
        with pytest.raises(Broken):
            tunnel(ours, REQUEST, Deadline(30))


@pytest.mark.parametrize(
    ("base", "parts"),
    [
        ("http://p.example", ("http", "p.example", "p.example", 80, "", "")),
        (
            "HTTPS://p.example:8443/base/",
            ("https", "p.example:8443", "p.example", 8443, "/base", ""),
        ),
        ("https://[::1]:8443", ("https", "[::1]:8443", "::1", 8443, "", "")),
        ("http://[::1]", ("http", "[::1]", "::1", 80, "", "")),
        (
            "unix:///run/pullpass.sock",
            ("unix", "localhost", "localhost", 0, "", "/run/pullpass.sock"),
        ),
    ],
)
def test_an_address(base: str, parts: tuple[object, ...]) -> None:
    found = address.parse(base, "PULLPASS_URL")
    names = ("scheme", "authority", "host", "port", "path", "socket")
    assert tuple(getattr(found, name) for name in names) == parts


@pytest.mark.parametrize(
    "base",
    [
        *("p.example", "ftp://p.example", "http://", "http://:80", "http:///path", "unix://p"),
        *(
            "http://p:0",
            "http://p:65536",
            "http://p:8o",
            "http://p:80:80",
            "http://[::1",
            "http://[::1]x",
        ),
        *("http://u@p", "http://p?q", "http://p#f", "http://p /", "http://p\r\nX: 1", "unix:///\0"),
    ],
)
def test_what_is_no_address(base: str) -> None:
    with pytest.raises(Failed, match="PULLPASS_URL cannot be used"):
        address.parse(base, "PULLPASS_URL")


@pytest.mark.parametrize("text", ["acme", "a b/c?d&e=f+%", "Zürich", "https://index.docker.io/v1/"])
def test_quoting_is_urllibs(text: str) -> None:
    from urllib.parse import quote

    assert address.quoted(text) == quote(text, safe="")


JSON = (
    *('{"a": [1, 2.5e3, true, null, "\\u00e9\\n"]}', " [] \r\n", '"x"', "1", "NaN"),
    *("", "{", '{"a": }', "[1] 2", "'x'", '"a\nb"', "[" * 100_000, "{}x", '{"a":1,}', '"\\u12"'),
)
_READ = """
import posix, sys
sys.path.append(sys.argv[1])
from pullpass.plugins.quickjson import loads
print([repr(loads(eval(line))) for line in sys.stdin.buffer], "json" in sys.modules)
"""


def test_json_is_read_as_json_reads_it() -> None:
    # By a process of its own: the C half behaves otherwise where the rest of json is loaded.
    texts = [text.encode() for text in JSON] + ["{}".encode("utf-16")]
    done = subprocess.run(
        [sys.executable, "-IS", "-c", _READ, str(Path(quickjson.__file__).parents[2])],
        input="".join(f"{text!r}\n" for text in texts),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{[read_by_json(text) for text in texts]} False\n", done.stderr


def read_by_json(content: bytes) -> str:
    try:
        return repr(json.loads(content.decode()))
    except (ValueError, RecursionError):
        return "None"


@pytest.mark.parametrize("text", ["", "plain", 'a"b\\c\n\x00\x7f', "Zürich 😀"])
def test_json_is_written_as_json_writes_it(text: str) -> None:
    assert quickjson.quoted(text) == json.dumps(text)
