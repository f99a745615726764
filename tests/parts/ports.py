"""Free TCP ports on loopback."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

# Below the ports that the kernel gives to clients (net.ipv4.ip_local_port_range), so that nobody
# gets one by chance between the moment it is found free and the moment a server listens on it; and
# from another place on in each of the processes that pytest runs the tests in.
_PORTS = range(12_000, 32_000)
_BEGIN = os.getpid() * 997 % len(_PORTS)
_CANDIDATES: Iterator[int] = itertools.cycle([*_PORTS[_BEGIN:], *_PORTS[:_BEGIN]])


def free_port() -> int:
    """A port that nobody listened on just now, and that no other test is given soon."""
    for port in itertools.islice(_CANDIDATES, len(_PORTS)):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("There is no free port.")
