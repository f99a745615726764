"""What was typed into a form whose session had ended: in the browser until it is back there."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pullpass.broker.clock import Clock

# Long enough to sign in by way of another site.
KEPT_FOR = timedelta(minutes=15)
# Browsers keep 4096 bytes of a cookie, its name and attributes included (RFC 6265 section 6.1).
_LONGEST = 3800
_LONGEST_UNPACKED = 256 * 1024


class KeptForms:
    """Packs fields into a cookie's value and opens it again; nothing is stored.

    The value is signed (HMAC-SHA-256), so that nothing is read that was not packed here. It is not
    encrypted: no field of it is a secret. Who has packed it, it does not say: that no other site
    fills in a form is for the cookie to see to.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def pack(self, path: str, fields: Mapping[str, str]) -> str | None:
        """``fields`` for the form on the page at ``path``; None where they are too much."""
        ends = int((self._clock() + KEPT_FOR).timestamp())
        plain = json.dumps([ends, path, dict(fields)]).encode()
        if len(plain) > _LONGEST_UNPACKED:
            return None
        packed = zlib.compress(plain, 9)
        value = base64.urlsafe_b64encode(self._signature(packed) + packed).decode()
        return value if len(value) <= _LONGEST else None

    def unpack(self, path: str, value: str) -> Mapping[str, str]:
        """The fields that :meth:`pack` was given for ``path``; empty where it is another page,
        the time is over, or the value is not one of ours.
        """
        try:
            raw = base64.urlsafe_b64decode(value.encode())
        except (binascii.Error, ValueError):
            return {}
        size = len(self._signature(b""))
        signature, packed = raw[:size], raw[size:]
        if not hmac.compare_digest(signature, self._signature(packed)):
            return {}
        plain = zlib.decompressobj().decompress(packed, _LONGEST_UNPACKED)
        ends, kept_path, fields = json.loads(plain)
        if kept_path != path or datetime.fromtimestamp(ends, UTC) <= self._clock():
            return {}
        return {str(name): str(text) for name, text in fields.items()}

    def _signature(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, packed, "sha256")
