"""The server's address, taken apart: urllib.parse would take longer to load than to ask."""

from __future__ import annotations

from pullpass.plugins.settings import Failed

_PORTS = {"http": 80, "https": 443}
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Address:
    """``scheme`` is http, https or unix. With unix, ``socket`` is the path of the socket, and
    ``host`` is what the server is told; otherwise ``socket`` is empty.

    ``authority`` is host and port as they are written; ``path`` has no slash at its end.
    """

    __slots__ = ("authority", "host", "path", "port", "scheme", "socket")

    def __init__(
        self, scheme: str, authority: str, host: str, port: int, path: str = "", socket: str = ""
    ) -> None:
        self.scheme = scheme
        self.authority = authority
        self.host = host
        self.port = port
        self.path = path
        self.socket = socket


def parse(base: str, where: str) -> Address:
    """``https://host[:port][/path]``, ``http://…`` or ``unix:///path/of/a/socket``.

    Raises:
        Failed: it is none of these; names ``where`` it was set, and does not repeat it, since it
            may hold a password.
    """
    scheme, separator, rest = base.partition("://")
    scheme = scheme.lower()
    if scheme == "unix" and separator and rest.startswith("/") and "\0" not in rest:
        return Address("unix", "localhost", "localhost", 0, socket=rest)
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority)
    usable = separator and scheme in _PORTS and host and port is not None
    if not usable or not base.isprintable() or set(base) & set('@?# \\"<>'):
        raise Failed(
            f"{where} cannot be used; expected an address like https://pullpass.example.com"
        )
    if not path.isascii():
        raise Failed(f"{where} is not a valid address; write what is not ASCII as %XX")
    return Address(scheme, authority, host, port or _PORTS[scheme], f"{slash}{path}".rstrip("/"))


def quoted(text: str) -> str:
    """``text`` as one part of a path, a query or a form (RFC 3986 section 2)."""
    return "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"
        for byte in text.encode(errors="replace")
    )


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """The host, without the brackets of IPv6, and the port, 0 where there is none; None where
    it is not a port.
    """
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and rest[0] != ":"):
            return "", None
        port = rest[1:]
    else:
        host, _, port = authority.partition(":")
    if not port:
        return host, 0
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
        return host, None
    return host, int(port)
