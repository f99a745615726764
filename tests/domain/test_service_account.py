"""Google service-account keys: which are taken, and what is said of one that is not."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.service_account import NoServiceAccountKey, read_key
from tests.parts.google import EMAIL, TOKEN_URI, private_key_pem, service_account_key

PEM = private_key_pem()
LINES = PEM.strip().splitlines()
DER = base64.b64decode("".join(LINES[1:-1]))


def pem(der: bytes, label: str = "PRIVATE KEY") -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


def elliptic() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def encrypted() -> str:
    key = rsa.generate_private_key(65537, 1024)
    how = BestAvailableEncryption(b"passphrase")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def read(text: str, username: str = "_json_key") -> str | None:
    """What is said of a key file; None where it is taken."""
    try:
        read_key(Credential(username, Secret(text)))
    except NoServiceAccountKey as error:
        return f"{error.field} {error.problem}"
    return None


@pytest.mark.parametrize(
    "text",
    [
        service_account_key(),
        service_account_key(private_key=private_key_pem(pkcs1=True)),
        service_account_key(private_key=PEM.replace("\n", "\r\n")),
        service_account_key(private_key=PEM.strip()),
        service_account_key("http://127.0.0.1:8080/token"),
        service_account_key("https://[2001:db8::1]/token"),
    ],
    ids=["as Google writes it", "PKCS#1", "CRLF", "no last newline", "http and port", "IPv6"],
)
def test_a_key_is_taken(text: str) -> None:
    assert read(text) is None
    assert read(base64.encodebytes(text.encode()).decode(), "_json_key_base64") is None


def test_what_is_read() -> None:
    key = read_key(Credential("_json_key", Secret(service_account_key())))
    assert (key.email, key.key_id, key.token_uri) == (EMAIL, "key-0", TOKEN_URI)
    assert key.private_key.reveal() == PEM
    assert LINES[1] not in repr(key)


@pytest.mark.parametrize(
    ("private_key", "says"),
    [
        ("canary-key", "not in PEM"),
        (PEM.replace("\n", "\\n"), "line breaks may be lost"),
        (PEM.replace("\n", " "), "line breaks may be lost"),
        ("\n".join(LINES[:-1]), "not in PEM"),
        (pem(DER, "PUBLIC KEY"), "not in PEM"),
        (pem(DER, "CERTIFICATE"), "not in PEM"),
        (encrypted(), "not in PEM"),
        ("\n".join([LINES[0], LINES[1][:-1], *LINES[2:]]), "Base64 is broken"),
        ("\n".join([LINES[0], *LINES[2:]]), "cut off or damaged"),
        ("\n".join([*LINES[:10], LINES[-1]]), "cut off or damaged"),
        (pem(DER + b"\0\0"), "cut off or damaged"),
        (pem(b"0"), "cut off or damaged"),
        (pem(b"0\x84\xff\xff\xff\xff"), "cut off or damaged"),
        (pem(b"0\x80\0\0"), "cut off or damaged"),
        (pem(DER, "RSA PRIVATE KEY"), "cut off or damaged"),
        (pem(DER[:60] + bytes([DER[60] ^ 1]) + DER[61:]), "do not fit each other"),
        (elliptic(), "not an RSA key"),
        (
            rsa.generate_private_key(65537, 1024)
            .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            .decode()
            .replace("\n", "\n\n"),
            None,
        ),
    ],
    ids=[
        "text",
        "escaped twice",
        "spaces",
        "no end",
        "public",
        "certificate",
        "encrypted",
        "a character lost",
        "a line lost",
        "cut off",
        "more behind it",
        "nothing in it",
        "too long",
        "no length",
        "wrong label",
        "a bit flipped",
        "elliptic",
        "blank lines",
    ],
)
def test_a_private_key_is_looked_into(private_key: str, says: str | None) -> None:
    problem = read(service_account_key(private_key=private_key))
    if says is None:
        assert problem is None
        return
    assert problem is not None
    assert "private_key" in problem
    assert says in problem
    assert private_key not in problem
    assert not [line for line in private_key.splitlines()[1:-1] if line and line in problem]


@pytest.mark.parametrize(
    "token_uri",
    [
        "oauth2.googleapis.com/token",
        "ftp://oauth2.googleapis.com/token",
        "file:///etc/passwd",
        "https:///token",
        "https://user:canary@oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com\\@evil.example/token",
        "https://oauth2.googleapis.com /token",
        "https://oauth2.googleapis.com/token?x=y",
        "https://oauth2.googleapis.com/token#x",
        "https://oauth2.googleapis.com:99999/token",
        "https://oauth2.googleapis.com:/token",
        "https://oauth2.googleapis.com/to\nken",
        "https://ex\u00e4mple.com/token",
        "https://[::1/token",
        "https://[v1.x]/token",
    ],
    ids=ascii,
)
def test_a_token_uri_names_its_host_clearly(token_uri: str) -> None:
    problem = read(service_account_key(token_uri))
    assert problem == "password holds a token_uri that is no address"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"client_email": "nobody"}, "client_email"),
        ({"client_email": "a@b\nc"}, "client_email"),
        ({"private_key_id": 5}, "private_key_id"),
        ({"private_key_id": "a\nb"}, "private_key_id"),
        ({"private_key": None}, "lacks private_key"),
        ({"private_key": ["x"], "token_uri": ""}, "lacks private_key, token_uri"),
    ],
    ids=str,
)
def test_the_other_fields_are_looked_into(changes: dict[str, object], says: str) -> None:
    fields = {**json.loads(service_account_key()), **changes}
    assert says in (read(json.dumps(fields)) or "")


def test_what_is_no_key_file() -> None:
    assert read("{", "_json_key_base64") == "password is not Base64"
    assert read("gICA", "_json_key_base64") == "password is not Base64"
    assert read("{") == "password is not JSON"


@given(st.binary(max_size=80), st.sampled_from(["PRIVATE KEY", "RSA PRIVATE KEY"]))
def test_no_damage_is_too_odd_to_be_told(der: bytes, label: str) -> None:
    assert "private_key" in (read(service_account_key(private_key=pem(der, label))) or "")


@given(st.integers(0, len(DER) - 1), st.integers(1, 255))
def test_no_flipped_byte_is_too_odd_to_be_looked_at(at: int, flip: int) -> None:
    damaged = DER[:at] + bytes([DER[at] ^ flip]) + DER[at + 1 :]
    problem = read(service_account_key(private_key=pem(damaged)))
    assert problem is None or "private_key" in problem


def test_a_private_key_made_to_be_slow_has_an_answer() -> None:
    # Were each of the line breaks tried as the end of the first line, this would take hours.
    blank = "-----BEGIN PRIVATE KEY-----" + "\n" * 1_000_000 + "!"
    assert "not in PEM" in (read(service_account_key(private_key=blank)) or "")
