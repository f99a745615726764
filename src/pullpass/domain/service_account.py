"""Google service-account keys: the JSON file that Google hands out, read once into a value."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pullpass.domain.credential import Credential, Secret

KEY_USERNAMES = ("_json_key", "_json_key_base64")

_EXPECTED = "the JSON key file of a Google service account, whole"
# The fields that a JWT-bearer grant needs (https://google.aip.dev/auth/4112).
_FIELDS = ("type", "client_email", "private_key", "token_uri")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
# RFC 7468 sections 2 and 10; OpenSSL writes the second label for the form of RFC 8017 A.1.2.
# There is one way to read each text, or some would be slow.
_PEM = re.compile(
    r"\s*-----BEGIN (?P<label>(?:RSA )?PRIVATE KEY)-----[^\S\n]*\n"
    r"(?P<body>[A-Za-z0-9+/=\s]++)"
    r"-----END (?P=label)-----\s*"
)
_INTEGER, _OCTET_STRING, _OBJECT_ID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30
# rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017 appendix A.1), as DER writes it.
_RSA = bytes.fromhex("2a864886f70d010101")
# https://cloud.google.com/iam/docs/reference/rest/v1/ServiceAccountKeyAlgorithm
_SMALLEST_MODULUS = 1024


class NoServiceAccountKey(ValueError):
    """Says which part of `creds` is wrong, and how; never holds any part of the value."""

    def __init__(self, field: str, problem: str, expected: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem
        self.expected = expected


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """``token_uri`` is an http(s) URL; ``key_id`` is empty where the file does not say it."""

    email: str
    private_key: Secret
    key_id: str
    token_uri: str


def read_key(creds: Credential) -> ServiceAccountKey:
    """The key in a record's credential.

    Raises:
        NoServiceAccountKey: it is none, lacks a field, or holds a broken one.
    """
    if creds.username not in KEY_USERNAMES:
        raise NoServiceAccountKey(
            "username",
            "does not say how the service-account key is written",
            " or ".join(f"'{name}'" for name in KEY_USERNAMES),
        )
    text = creds.password.reveal()
    if creds.username == "_json_key_base64":
        try:
            text = base64.b64decode("".join(text.split()), validate=True).decode()
        except (binascii.Error, ValueError):
            raise _wrong("is not Base64", "the key file, Base64-encoded") from None
    return _from_json(text)


def _from_json(text: str) -> ServiceAccountKey:
    try:
        key: object = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong("is not JSON") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise _wrong("is JSON, but not a key of type 'service_account'")
    missing = [name for name in _FIELDS if not isinstance(key.get(name), str) or not key[name]]
    if missing:
        raise _wrong(f"lacks {', '.join(missing)}")
    email, private_key, token_uri = key["client_email"], key["private_key"], key["token_uri"]
    key_id = key.get("private_key_id", "")
    if "@" not in email or _UNPRINTABLE.search(email):
        raise _wrong("holds a client_email that is no e-mail address")
    if not isinstance(key_id, str) or _UNPRINTABLE.search(key_id):
        raise _wrong("holds a private_key_id that is no key id")
    if not _is_url(token_uri):
        raise _wrong(
            "holds a token_uri that is no address",
            "the key file as Google wrote it, with token_uri https://oauth2.googleapis.com/token",
        )
    problem = _pem_problem(private_key)
    if problem:
        raise _wrong(
            f"holds a private_key that {problem}",
            "the key file as Google wrote it, with an RSA private key in PEM",
        )
    return ServiceAccountKey(email, Secret(private_key), key_id, token_uri)


def _wrong(problem: str, expected: str = _EXPECTED) -> NoServiceAccountKey:
    return NoServiceAccountKey("password", problem, expected)


def _is_url(text: str) -> bool:
    if _UNPRINTABLE.search(text) or "\\" in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.netloc if port is None else parts.netloc.removesuffix(f":{port}")
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme in ("https", "http") and plain and _HOST.fullmatch(host) is not None


def _pem_problem(text: str) -> str | None:
    armour = _PEM.fullmatch(text)
    if armour is None:
        return "is not in PEM (its line breaks may be lost)"
    try:
        der = base64.b64decode("".join(armour["body"].split()), validate=True)
    except (binascii.Error, ValueError):
        return "is not in PEM (its Base64 is broken)"
    try:
        key = _unwrapped(der) if armour["label"] == "PRIVATE KEY" else der
        if key is None:
            return "is not an RSA key"
        _, modulus, _, _, first, second, *_ = _integers(key)
    except ValueError:
        return "is cut off or damaged"
    if first * second != modulus:
        return "is damaged: its numbers do not fit each other"
    if modulus.bit_length() < _SMALLEST_MODULUS:
        return f"is too short ({modulus.bit_length()} bits)"
    return None


def _unwrapped(der: bytes) -> bytes | None:
    """The RSAPrivateKey in a PrivateKeyInfo (RFC 5208 section 5); None for another algorithm."""
    (tag, info), *rest = _elements(der)
    if tag != _SEQUENCE or rest:
        raise ValueError("no PrivateKeyInfo")
    fields = list(_elements(info))
    if [tag for tag, _ in fields[:3]] != [_INTEGER, _SEQUENCE, _OCTET_STRING]:
        raise ValueError("no PrivateKeyInfo")
    (tag, algorithm), *_ = _elements(fields[1][1])
    return fields[2][1] if (tag, algorithm) == (_OBJECT_ID, _RSA) else None


def _integers(der: bytes) -> list[int]:
    """The nine numbers of an RSAPrivateKey (RFC 8017 appendix A.1.2)."""
    (tag, key), *rest = _elements(der)
    fields = list(_elements(key))
    if tag != _SEQUENCE or rest or len(fields) != 9 or {tag for tag, _ in fields} != {_INTEGER}:
        raise ValueError("no RSAPrivateKey")
    return [int.from_bytes(value) for _, value in fields]


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and contents of each element, one after the other (X.690 section 8.1, and 10.1).

    Raises:
        ValueError: they are not of that form, or there are none.
    """
    at = 0
    while at < len(der) or at == 0:
        if len(der) - at < 2:
            raise ValueError("cut off")
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or len(der) - at < size:
                raise ValueError("no length")
            length = int.from_bytes(der[at : at + size])
            at += size
        if len(der) - at < length:
            raise ValueError("cut off")
        yield tag, der[at : at + length]
        at += length
