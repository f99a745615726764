"""TLS to the server, directly or through a proxy; loaded only where the address is https."""

from __future__ import annotations

import socket
import ssl

from pullpass.plugins.address import Address
from pullpass.plugins.proxy import Proxy
from pullpass.plugins.settings import Failed, Settings
from pullpass.plugins.wire import Deadline, dial, tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket


def secured(
    settings: Settings, address: Address, proxy: Proxy | None, deadline: Deadline
) -> ssl.SSLSocket:
    """A connection on which the server has shown a certificate for its name.

    Raises:
        Failed: the CA bundle cannot be used.
        OSError, Broken: the server or the proxy cannot be reached, or refuses.
    """
    context = _context(settings)
    if proxy is None:
        raw = dial(address.host, address.port, deadline)
    else:
        raw = _through(proxy, address, deadline)
    connection = socket.socket(fileno=raw.detach())
    try:
        connection.settimeout(deadline.left())
        return context.wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        # Without a file of our own, OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR.
        return ssl.create_default_context(cafile=settings.ca_bundle)
    except OSError as error:
        raise Failed(
            f"{settings.ca_bundle_from} cannot be read ({error.strerror}); "
            "expected a file of PEM certificates"
        ) from None


def _through(proxy: Proxy, address: Address, deadline: Deadline) -> _socket.socket:
    host = f"[{address.host}]" if ":" in address.host else address.host
    name = f"{host.encode('idna').decode()}:{address.port}"
    raw = dial(proxy.host, proxy.port, deadline)
    request = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n{proxy.authorization}\r\n"
    try:
        status = tunnel(raw, request.encode(), deadline)
    except BaseException:
        raw.close()
        raise
    if status != 200:
        raw.close()
        raise OSError(f"the proxy answered {status}")
    return raw
