"""How often each address came with a token that nobody has, or with anything else that is refused.

A token cannot be guessed (238 random bits), but each unknown one costs a query. An address that
keeps coming with such is refused further look-ups for a while; tokens that this process knows to be
valid pass all the same, so that one broken job behind a shared address shuts nobody out.

Kept in the memory of each process, and only for so many addresses. All IPv6 addresses of one /64
count as one: that is what a single host is given (RFC 6177), and can take any address of.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address

from pullpass.domain.errors import TooManyAttempts

MOST_FAILURES = 30
WINDOW = timedelta(seconds=60)
_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    until: datetime


class FailedAttempts:
    """An address of None (a Unix socket) counts as one. Beyond ``most`` failures in a window, each
    address is refused.
    """

    def __init__(self, most: int = MOST_FAILURES) -> None:
        self._most = most
        self._by_address: OrderedDict[str | None, _Failures] = OrderedDict()

    def require(self, address: str | None, now: datetime) -> None:
        """Refuse a look-up to an address with too many failures.

        Raises:
            TooManyAttempts: until its window is over.
        """
        found = self._by_address.get(_host(address))
        if found is None or found.count < self._most or now >= found.until:
            return
        wait = max(1, round((found.until - now).total_seconds()))
        raise TooManyAttempts(
            "Too many unknown or refused tokens, or failed sign-ins, came from your address. "
            f"Try again in {wait} s.",
            retry_after=wait,
        )

    def failed(self, address: str | None, now: datetime) -> None:
        """Count a failure; the first one begins a window."""
        host = _host(address)
        found = self._by_address.get(host)
        if found is None or now >= found.until:
            found = _Failures(0, now + WINDOW)
        found.count += 1
        self._by_address[host] = found
        self._by_address.move_to_end(host)
        if len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)


def _host(address: str | None) -> str | None:
    """What is counted for ``address``."""
    if address is None or ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()
