"""A scripted HTTP server, for what a healthy Pullpass never does: 503s, redirects, silence,
broken and foreign answers. Whatever Pullpass itself can be brought to do is tested on Pullpass.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.parts.certificates import Certificates


@dataclass(frozen=True, slots=True)
class Scripted:
    """One answer. A ``declared`` length that is longer than ``body`` makes it break off.

    ``hang``: answer nothing, for as long as the server runs. ``drip``: give the body a byte at a
    time, so slowly that no single wait is long. ``reset``: answer nothing, and reset the
    connection.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    declared: int | None = None
    hang: bool = False
    drip: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def answer(fields: object, status: int = 200, **headers: str) -> Scripted:
    """A JSON answer; header names may have `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(
        status, json.dumps(fields).encode(), {"Content-Type": "application/json", **named}
    )


def refusal(
    status: int, code: str, sentence: str, details: object = None, **headers: str
) -> Scripted:
    """An error answer of Pullpass."""
    fields = {"error": sentence, "code": code} | ({"details": details} if details else {})
    return answer(fields, status, **headers)


class WireServer:
    """Answers with ``script`` in order, the last one for ever, and keeps what it received.

    ``connections`` is how many have been opened, and ``open_connections`` how many are open.
    """

    def __init__(self, script: tuple[Scripted, ...], certificates: Certificates | None) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.open_connections = 0
        self._script = list(script)
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._scheme = "http"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._http.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def wait_for_request(self) -> None:
        """Returns once a request has come in."""
        assert self._asked.wait(30), "no request within 30 s"

    def stop(self) -> None:
        self._released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _next(self) -> Scripted:
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server.connections += 1
                    server.open_connections += 1

            def finish(self) -> None:
                with server._lock:
                    server.open_connections -= 1
                super().finish()

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.requests.append(
                    Received(self.command, self.path, headers, self.rfile.read(length))
                )
                server._asked.set()
                scripted = server._next()
                if scripted.hang:
                    server._released.wait()
                    self.close_connection = True
                    return
                self.send_response(scripted.status)
                for name, value in scripted.headers.items():
                    self.send_header(name, value)
                declared = scripted.declared
                self.send_header(
                    "Content-Length", str(len(scripted.body) if declared is None else declared)
                )
                self.end_headers()
                if scripted.drip:
                    self._drip(scripted.body)
                else:
                    self.wfile.write(scripted.body)
                if declared is not None:
                    self.close_connection = True

            def _drip(self, body: bytes) -> None:
                for byte in body:
                    with suppress(ConnectionError):
                        self.wfile.write(bytes([byte]))
                    if server._released.wait(0.1):
                        return

            do_GET = do_POST = do_PATCH = do_DELETE = do_CONNECT = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


@contextmanager
def wire_server(
    *script: Scripted, certificates: Certificates | None = None
) -> Iterator[WireServer]:
    server = WireServer(script or (Scripted(),), certificates)
    try:
        yield server
    finally:
        server.stop()
