"""Style, script and icon: each under a name that holds a hash of it, so that caches keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HASH_DIGITS = 12
# A year, the longest that is in use (RFC 9111 section 5.2.2.1, RFC 8246).
_FOR_GOOD = "public, max-age=31536000, immutable"


class Assets:
    """Reads the files once, when the server starts."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for path in sorted(_FOLDER.iterdir()):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
            hashed = f"{path.stem}.{digest}{path.suffix}"
            self._urls[path.name] = f"/ui/static/{hashed}"
            self._files[hashed] = content, _TYPES[path.suffix]

    def url(self, name: str) -> str:
        return self._urls[name]

    async def serve(self, request: Request) -> Response:
        found = self._files.get(str(request.path_params["name"]))
        if found is None:
            # An old name: the page that knew it is old too.
            return Response("There is no such file.", 404, media_type="text/plain")
        content, media_type = found
        return Response(content, headers={"Cache-Control": _FOR_GOOD}, media_type=media_type)
