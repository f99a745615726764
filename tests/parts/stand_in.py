"""What the stand-ins for token services have in common: a real HTTP server on loopback that can
be made slow, wrong, absent, or of another time.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.parts.certificates import Certificates
from tests.parts.wire import Received, Scripted, answer

GARBAGE = Scripted(body=b"<html>Welcome</html>", headers={"Content-Type": "text/html"})
HUGE = Scripted(body=json.dumps({"token": "x" * 1024 * 1024}).encode())


def throttled(seconds: int | None = None) -> Scripted:
    headers = {} if seconds is None else {"Retry_After": str(seconds)}
    return answer({"message": "Too many requests"}, 429, **headers)


def failing(status: int = 503) -> Scripted:
    return Scripted(status, b"upstream connect error")


def redirect(to: str) -> Scripted:
    return Scripted(302, b"", {"Location": to})


class _Server(ThreadingHTTPServer):
    request_queue_size = 256


class StandIn:
    """Runs from the time that it is made; :meth:`stop` and :meth:`start` again for an outage.

    ``calls``: every request as it came. ``delay``: seconds before each answer. ``skew``: by how
    many seconds its clock is ahead. ``fault``: what it answers to everything while that is set.
    :meth:`held`: it takes requests and answers none.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.calls: list[Received] = []
        self.delay = 0.0
        self.skew = 0.0
        self.fault: Scripted | None = None
        self.lock = threading.Lock()
        self._certificates = certificates
        self._stopping = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._port = 0
        self.start()

    def handle(self, request: Received) -> Scripted:
        """The real service's part: called for one request at a time."""
        raise NotImplementedError

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._certificates else 'http'}://{self.authority}"

    def time(self) -> float:
        return time.time() + self.skew

    def start(self) -> None:
        self._stopping.clear()
        self._http = _Server(("127.0.0.1", self._port), self._handler())
        if self._certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificates.certificate, self._certificates.key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._open.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer nothing that comes, until the block ends."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answer(self, request: Received) -> Scripted:
        with self.lock:
            self.calls.append(request)
        self._open.wait()
        self._stopping.wait(self.delay)
        if self.fault is not None:
            return self.fault
        with self.lock:
            return self.handle(request)

    def _handler(stand_in) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                scripted = stand_in._answer(
                    Received(self.command, self.path, headers, self.rfile.read(length))
                )
                if scripted.hang:
                    stand_in._stopping.wait()
                # Who asked may have given up, and a stopped service answers nobody.
                if stand_in._stopping.is_set():
                    return
                if scripted.reset:
                    # Closed without having lingered, it is reset (SO_LINGER in socket(7)).
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    return
                with suppress(ConnectionError):
                    self._send(scripted)

            def _send(self, scripted: Scripted) -> None:
                self.send_response(scripted.status)
                for name, value in scripted.headers.items():
                    self.send_header(name, value)
                declared = scripted.declared
                self.send_header(
                    "Content-Length", str(len(scripted.body) if declared is None else declared)
                )
                self.end_headers()
                if not scripted.drip:
                    self.wfile.write(scripted.body)
                    return
                for byte in scripted.body:
                    self.wfile.write(bytes([byte]))
                    if stand_in._stopping.wait(0.1):
                        return

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(stand_in.time(), usegmt=True)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler
