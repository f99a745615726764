"""Whom this server's own identity is shown to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from pullpass.domain.errors import ExchangeRejected
from pullpass.exchange.exchanger import Source


def require_own(
    source: Source,
    own: Mapping[str, Callable[[str], bool]],
    trusted: Collection[str],
    instead: str,
) -> None:
    """Refuse to show this server's own identity to hosts that are not the provider's own: whoever
    writes a record may choose its endpoints, but is not given this identity.

    ``own``: for each option that holds an endpoint, whether a host, in lower case, is one of the
    provider's. ``trusted``: hosts that the operator names besides, also without TLS. ``instead``
    ends the error's sentence.

    Raises:
        ExchangeRejected: `ambient_endpoint_refused`.
    """
    for name, is_own in own.items():
        url = source.option(name)
        if not url:
            continue
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if host not in trusted and not (parts.scheme == "https" and is_own(host)):
            raise ExchangeRejected(
                f"The server's own identity is not shown to the host in options.{name}. {instead}",
                code="ambient_endpoint_refused",
            )
