"""One HTTP/1.1 exchange over a connection, for a plugin: what http.client does with less.

http.client, with what it imports, takes longer to load than the interpreter to start. This reads
one answer, by RFC 9112, and takes nothing that could be read in two ways.
"""

from __future__ import annotations

import _socket
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Connection(Protocol):
        """A socket, with TLS or without."""

        def recv(self, size: int, /) -> bytes: ...
        def sendall(self, data: bytes, /) -> None: ...
        def settimeout(self, seconds: float, /) -> None: ...
        def close(self) -> None: ...


_LONGEST_HEAD = 65536
_LONGEST_LINE = 4096
_LONGEST_BODY = 16 * 1024 * 1024
_WITHOUT_BODY = (204, 304)


class Broken(Exception):
    """What came is no HTTP, broke off, or is too long; the message says which."""


class Deadline:
    """When all of it has to be done."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, more than 0.

        Raises:
            TimeoutError: none.
        """
        seconds = self._end - monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def dial(host: str, port: int, deadline: Deadline) -> _socket.socket:
    """A TCP connection to the first address of ``host`` that takes one.

    Raises:
        OSError: none does, or the name has no address; TimeoutError: the time is over.
    """
    # As text, the name would be encoded by the idna codec, which takes long to load.
    name = host.encode("ascii" if host.isascii() else "idna")
    places = _socket.getaddrinfo(name, port, 0, _socket.SOCK_STREAM)
    failure: OSError | None = None
    for number, (family, kind, protocol, _, place) in enumerate(places):
        # What does not answer leaves the others their share of the time.
        seconds = deadline.left() / (len(places) - number)
        try:
            return _connected(_socket.socket(family, kind, protocol), place, seconds)
        except OSError as error:
            failure = error
    raise failure or OSError("the name has no address")


def dial_unix(path: str, deadline: Deadline) -> _socket.socket:
    """A connection to the socket at ``path``.

    Raises:
        OSError: nothing listens there; TimeoutError: the time is over.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return _connected(connection, path, deadline.left())


def _connected(
    connection: _socket.socket, place: tuple[object, ...] | str, seconds: float
) -> _socket.socket:
    try:
        connection.settimeout(seconds)
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


def exchange(connection: Connection, request: bytes, deadline: Deadline) -> tuple[int, bytes]:
    """Sends ``request``; the status and the body of the answer to it.

    Raises:
        Broken: there is no whole answer.
        OSError: the connection failed; TimeoutError: the time is over.
    """
    reader = _sent(connection, request, deadline)
    status, headers = reader.head()
    return status, _body(reader, status, headers)


def tunnel(connection: Connection, request: bytes, deadline: Deadline) -> int:
    """Sends a CONNECT request; the status. With 200, the connection is the other end's.

    Raises:
        As ``exchange`` does.
    """
    reader = _sent(connection, request, deadline)
    status, _ = reader.head()
    if status == 200 and reader.buffer:
        raise Broken("data before its time")
    return status


class _Reader:
    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self.buffer = b""
        self._connection = connection
        self._deadline = deadline

    def more(self) -> bool:
        """Whether more has come; False at the end."""
        # For each step anew: a server that drips would hold a pull for ever.
        self._connection.settimeout(self._deadline.left())
        data = self._connection.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, end: bytes, longest: int) -> bytes:
        """Up to ``end``, which is taken too."""
        while (at := self.buffer.find(end)) < 0:
            if len(self.buffer) > longest:
                raise Broken("too long")
            if not self.more():
                raise Broken("broke off")
        found, self.buffer = self.buffer[:at], self.buffer[at + len(end) :]
        return found

    def exactly(self, size: int) -> bytes:
        chunks, missing = [self.buffer[:size]], size - len(self.buffer)
        self.buffer = self.buffer[size:]
        while missing > 0:
            if not self.more():
                raise Broken("broke off")
            chunks.append(self.buffer[:missing])
            self.buffer, missing = self.buffer[missing:], missing - len(self.buffer)
        return b"".join(chunks)

    def head(self) -> tuple[int, dict[bytes, bytes]]:
        """The status and the headers of the answer; what goes before it (1xx) is skipped."""
        while True:
            lines = self.until(b"\r\n\r\n", _LONGEST_HEAD).split(b"\r\n")
            version, _, rest = lines[0].partition(b" ")
            code = rest[:3]
            if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(code) < 3 or not code.isdigit():
                raise Broken("no HTTP")
            if rest[3:4] not in (b"", b" "):
                raise Broken("no HTTP")
            headers = _headers(lines[1:])
            if code[0] != 0x31:
                return int(code), headers


def _sent(connection: Connection, request: bytes, deadline: Deadline) -> _Reader:
    connection.settimeout(deadline.left())
    connection.sendall(request)
    return _Reader(connection, deadline)


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        # A space would be a line that goes on, or a header that others read as another.
        if not colon or not name or name.split() != [name]:
            raise Broken("no HTTP")
        name, value = name.lower(), value.strip(b" \t")
        if headers.get(name, value) != value and name in (b"content-length", b"transfer-encoding"):
            raise Broken("two lengths")
        headers[name] = value
    return headers


def _body(reader: _Reader, status: int, headers: dict[bytes, bytes]) -> bytes:
    """RFC 9112 section 6.3."""
    if status in _WITHOUT_BODY:
        return b""
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None:
            raise Broken("two lengths")
        return _chunked(reader)
    if length is not None:
        if not length.isdigit() or len(length) > 12:
            raise Broken("no HTTP")
        return _limited(reader, int(length))
    while len(reader.buffer) <= _LONGEST_BODY and reader.more():
        pass
    return _limited(reader, len(reader.buffer))


def _limited(reader: _Reader, size: int) -> bytes:
    if size > _LONGEST_BODY:
        raise Broken("too long")
    return reader.exactly(size)


def _chunked(reader: _Reader) -> bytes:
    """RFC 9112 section 7.1; extensions and trailers say nothing here."""
    chunks: list[bytes] = []
    total = 0
    while True:
        digits = reader.until(b"\r\n", _LONGEST_LINE).partition(b";")[0].strip(b" \t")
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise Broken("no HTTP")
        size = int(digits, 16)
        if size == 0:
            break
        total += size
        if total > _LONGEST_BODY:
            raise Broken("too long")
        chunks.append(reader.exactly(size))
        if reader.exactly(2) != b"\r\n":
            raise Broken("no HTTP")
    while reader.until(b"\r\n", _LONGEST_LINE):
        pass
    return b"".join(chunks)
