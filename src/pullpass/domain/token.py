"""The format of Pullpass API tokens.

``ppt_`` + 40 random base-62 digits (238 bits) + a 6-digit base-62 CRC-32 of what stands before.
The prefix lets secret scanners find a leaked token; the checksum lets them, and the server,
reject a typo without a look-up. The layout follows GitHub's
(https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/).

Only a SHA-256 of a token is ever stored. A slow password hash would add nothing: the input is
238 random bits, not something a person chose.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

from pullpass.domain.credential import Secret

PREFIX = "ppt_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_DIGITS = 40
_CHECKSUM_DIGITS = 6
_SHAPE = re.compile(
    rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_DIGITS}}}[0-9A-Za-z]{{{_CHECKSUM_DIGITS}}}", re.ASCII
)


def generate() -> Secret:
    """A new token from the operating system's random source."""
    body = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_DIGITS))
    return Secret(body + _checksum(body))


def is_well_formed(text: str) -> bool:
    """Whether ``text`` has the shape and the checksum of a token (says nothing of validity)."""
    if _SHAPE.fullmatch(text) is None:
        return False
    return _checksum(text[:-_CHECKSUM_DIGITS]) == text[-_CHECKSUM_DIGITS:]


def digest(text: str) -> str:
    """The SHA-256 of a token, in hex: what is stored and looked up."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_DIGITS):
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits
