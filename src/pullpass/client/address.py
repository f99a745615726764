"""Checks of a client's settings, before anything is sent."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pullpass.client.errors import InvalidArgument
from pullpass.client.secret import Secret

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Destination:
    """Where operations go: a server, and the organization that they are about."""

    def __init__(self, url: str, organization: str | None) -> None:
        self.base = base_url(url)
        self._organization = organization

    def organization(self) -> str:
        """The client's own organization.

        Raises:
            InvalidArgument: the client was given none.
        """
        if not self._organization:
            raise InvalidArgument("This needs an organization, and the client was given none.")
        return self._organization


def base_url(url: str) -> str:
    """``url`` without a slash at its end.

    Raises:
        InvalidArgument: not an http or https address, or one with more than scheme, host, port
            and path. The address is not repeated where it may hold a password.
    """
    expected = "expected an address like https://pullpass.example.com"
    try:
        parts = urlsplit(url.strip())
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        raise InvalidArgument(f"The server's URL is malformed; {expected}.") from None
    if "@" in parts.netloc:
        raise InvalidArgument(
            f"The server's URL holds a user name or password; {expected}, and the token on its own."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise InvalidArgument(f"The server's URL is {url.strip()!r}; {expected}.")
    if parts.query or parts.fragment:
        raise InvalidArgument(f"The server's URL has a query or fragment; {expected}.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def checked_token(token: Secret | str) -> Secret:
    """``token`` without the white space around it.

    Raises:
        InvalidArgument: it is empty, or holds what no header can carry. The token is not shown.
    """
    text = (token.reveal() if isinstance(token, Secret) else token).strip()
    if _TOKEN.fullmatch(text) is None:
        raise InvalidArgument(
            "The token is empty, or holds a space, a control character or a letter beyond ASCII; "
            "expected one token as Pullpass issued it."
        )
    return Secret(text)
