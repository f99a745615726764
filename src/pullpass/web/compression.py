"""What goes over the wire compressed, and what does not.

Who can have a page reflect their guesses, and sees how long the compressed answers are, learns what
else stands in them (BREACH, https://www.breachattack.com/). Hence:

- Only answers to GET are compressed. What shows a secret, or reflects a form, answers a POST.
- The form key in a page is masked anew each time (``pullpass.web.cookie``), so that no two answers
  hold the same bytes of it.
- A name of random length in the gzip header blurs the length of the rest, as Django does it
  ("Heal the Breach", https://ieeexplore.ieee.org/document/9754554).
"""

from __future__ import annotations

import gzip
import io
import secrets

from starlette.requests import Request
from starlette.responses import Response

_LEVEL = 6
# Below it there is nothing to win.
_SHORTEST = 1000
_LONGEST_NAME = 100


def takes_gzip(request: Request) -> bool:
    """Whether the client says so (RFC 9110 section 12.5.3), as browsers do: by name."""
    for item in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, quality = item.partition(";")
        if coding.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def compress(request: Request, response: Response) -> None:
    """Compress the page, where it may be and is worth it."""
    if request.method != "GET" or response.media_type != "text/html":
        return
    response.headers["Vary"] = "Accept-Encoding"
    if len(response.body) < _SHORTEST or not takes_gzip(request):
        return
    response.body = _packed(bytes(response.body))
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(response.body))


def _packed(content: bytes) -> bytes:
    packed = io.BytesIO()
    name = "x" * (1 + secrets.randbelow(_LONGEST_NAME))
    with gzip.GzipFile(name, "wb", _LEVEL, packed, mtime=0) as file:
        file.write(content)
    return packed.getvalue()
