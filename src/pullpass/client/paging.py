"""The `Link` header of a page (RFC 8288)."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s;,=]+\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))*)")
_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\"|next(?:[\s;,]|$))", re.I)


def next_page(link: str) -> str | None:
    """The `page` token of the link with rel="next", or None where there is none.

    Only the token is taken and never the address, so that no answer can send a token elsewhere.
    """
    for target, parameters in _LINK.findall(link):
        if _NEXT.search(parameters):
            tokens = parse_qs(urlsplit(target).query).get("page")
            return tokens[0] if tokens else None
    return None
