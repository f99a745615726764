"""Where a request really comes from, behind proxies that are trusted to say so."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The address next to the last trusted proxy: from the right of ``forwarded`` (the value of
    `X-Forwarded-For`), the first that is no trusted proxy's. ``peer`` itself where it is not
    trusted, and wherever the header says something else than addresses: whoever is not trusted
    could have written it.
    """
    found = peer
    for hop in reversed(forwarded.split(",")):
        if not _is_trusted(found, trusted):
            break
        try:
            found = str(ip_address(hop.strip()))
        except ValueError:
            break
    return found


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)
