"""Style, script and icon: each under a name that holds a hash of it, so that caches keep it.

They are the same for everybody and hold no secret, so they are compressed, once and ahead of time.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from pullpass.web.compression import takes_gzip

_FOLDER = Path(__file__).parent / "static"
_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HASH_DIGITS = 12
# A year, the longest that is in use (RFC 9111 section 5.2.2.1, RFC 8246).
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    packed: bytes
    media_type: str
    digest: str


class Assets:
    """Reads the files once, when the server starts."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, _Asset] = {}
        for path in sorted(_FOLDER.iterdir()):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
            hashed = f"{path.stem}.{digest}{path.suffix}"
            self._urls[path.name] = f"/ui/static/{hashed}"
            # Without a time in it, every replica has the same bytes.
            packed = gzip.compress(content, 9, mtime=0)
            self._files[hashed] = _Asset(content, packed, _TYPES[path.suffix], digest)

    def url(self, name: str) -> str:
        return self._urls[name]

    async def serve(self, request: Request) -> Response:
        found = self._files.get(str(request.path_params["name"]))
        if found is None:
            # An old name: the page that knew it is old too.
            return Response("There is no such file.", 404, media_type="text/plain")
        packs = takes_gzip(request)
        # Each representation has a tag of its own (RFC 9110 section 8.8.3.3).
        tag = f'"{found.digest}-gzip"' if packs else f'"{found.digest}"'
        headers = {"Cache-Control": _FOR_GOOD, "ETag": tag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if packs:
            headers["Content-Encoding"] = "gzip"
        content = found.packed if packs else found.content
        return Response(content, headers=headers, media_type=found.media_type)
