"""Which addresses Pullpass connects to on behalf of a record, whose host its writer chose.

By default the public Internet alone, so that a record cannot be used to reach what only the
server reaches (server-side request forgery). The caller connects to the addresses that it gets
here and resolves no name again: a name that answers differently the second time (DNS rebinding)
gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from pullpass.domain.probe import ProbeCode
from pullpass.exchange.failure import UpstreamFailed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Awaitable[Iterable[str]]]

# Of all IPv6 addresses only these are handed out as global unicast (RFC 4291 section 2.4, IANA).
_GLOBAL_IPV6 = IPv6Network("2000::/3")
# RFC 6052 section 2.1: the last 32 bits are an IPv4 address that a NAT64 gateway connects to.
_NAT64 = IPv6Network("64:ff9b::/96")
# IANA's special-purpose registries name these not globally reachable; is_global of Python 3.11
# and 3.12 does not know all of them. 192.88.99.0/24 is the deprecated 6to4 relay (RFC 7526).
_SPECIAL: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
# Where clouds hand a machine its own credentials: AWS, Azure, Google and others; AWS over IPv6;
# Google over IPv6; Alibaba; Oracle; and Azure's wire server, which has a public address.
_METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    )
)
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR form, or single addresses, with commas between them.

    Raises:
        ValueError: says which one is none and why.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


async def system_addresses(host: str, port: int) -> list[str]:
    """The addresses of ``host`` as the system's resolver gives them, in its order of preference.

    Raises:
        OSError, UnicodeError: it has none, or is no name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class AddressGuard:
    """Resolves hosts to the addresses that may be connected to.

    ``allowed`` are networks that may be reached though they are not public. A metadata service
    may be reached only where its very address is listed, not by a network around it.
    """

    def __init__(
        self, allowed: Iterable[Network] = (), resolve: Resolver = system_addresses
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve

    async def addresses(self, host: str, port: int, *, seconds: float) -> tuple[Address, ...]:
        """The allowed addresses of ``host`` (a name, or an address without brackets), each in
        the form that a connection to it really takes.

        Raises:
            UpstreamFailed: ``name_resolution`` or ``address_refused``.
        """
        try:
            async with asyncio.timeout(seconds):
                texts = list(await self._resolve(host, port))
        except TimeoutError:
            raise UpstreamFailed(
                ProbeCode.NAME_RESOLUTION,
                f"The name '{host}' could not be resolved within {seconds:g} s. "
                "Check the server's DNS.",
            ) from None
        except (OSError, UnicodeError):
            raise UpstreamFailed(
                ProbeCode.NAME_RESOLUTION,
                f"The name '{host}' could not be resolved. "
                "Check its spelling, and that the server's DNS knows it.",
            ) from None
        permitted = [address for text in texts if (address := self._permitted(host, text))]
        if not permitted:
            raise UpstreamFailed(
                ProbeCode.ADDRESS_REFUSED,
                f"The host '{host}' has no public address, and this server connects to no other. "
                "An operator can allow its network in PULLPASS_ALLOW_NETWORKS.",
            )
        return tuple(permitted)

    def _permitted(self, host: str, text: str) -> Address | None:
        address = ip_address(text)
        # With a scope (fe80::1%eth0) the address names an interface of this machine.
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return None
        reached = _reached(address)
        if reached in _METADATA or host.lower() in _METADATA_NAMES:
            listed = any(reached in net and net.num_addresses == 1 for net in self._allowed)
        else:
            listed = any(reached in net for net in self._allowed) or _is_public(reached)
        if not listed:
            return None
        # An IPv4-mapped address is just another spelling; the other forms need their gateway.
        mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
        return reached if mapped else address


def is_loopback(host: str) -> bool:
    """Whether ``host`` is written as this machine: `localhost`, or a loopback address."""
    try:
        return _reached(ip_address(host)).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _reached(address: Address) -> Address:
    """The machine that a connection to ``address`` ends at: the IPv4 address in it, if any."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _SPECIAL)
    )
