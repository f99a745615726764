"""Certificates of the agent's own: each with an authority for it alone, whose key is not kept."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pullpass.domain.credential import Secret

# For clocks that are behind.
_SKEW = timedelta(minutes=5)
_RENEW_AT = 2 / 3


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is served: ``certificate`` and ``key``; and the ``trusted`` authorities, the newest
    last, by which API servers know it and the one before. All are PEM.

    It should be renewed from ``due`` on.
    """

    trusted: bytes
    certificate: bytes
    key: Secret
    names: frozenset[str]
    due: datetime
    expires: datetime


def issue(names: Iterable[str], life: timedelta, now: datetime, before: bytes) -> Certificate:
    """A new certificate for ``names``, which are host names or IP addresses. ``before`` are the
    authorities that were trusted so far; the newest of them stays.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _name("Pullpass webhook authority")
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), life, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_name("Pullpass webhook"), authority_name, key.public_key(), life, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_alternative, sorted(names))), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return _of(
        _newest(before) + authority.public_bytes(pem),
        certificate.public_bytes(pem),
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def read(trusted: bytes, certificate: bytes, key: bytes) -> Certificate | None:
    """A certificate that was kept; None where it is damaged."""
    try:
        found = _of(trusted, certificate, key.decode())
        private = serialization.load_pem_private_key(key, None)
        x509.load_pem_x509_certificates(trusted)
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return None
    return found if private.public_key() == _leaf(certificate).public_key() else None


def load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Let ``context`` serve this one from the next connection on."""
    # It is read from files only: there the key is encrypted, with a password that is forgotten.
    password = os.urandom(16).hex().encode()
    key = serialization.load_pem_private_key(certificate.key.reveal().encode(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    with tempfile.NamedTemporaryFile(prefix="pullpass-") as file:
        file.write(certificate.certificate + encrypted)
        file.flush()
        context.load_cert_chain(file.name, password=password)


def _of(trusted: bytes, certificate: bytes, key: str) -> Certificate:
    leaf = _leaf(certificate)
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return Certificate(
        trusted,
        certificate,
        Secret(key),
        frozenset(str(each.value) for each in alternatives),
        start + (end - start) * _RENEW_AT,
        end,
    )


def _leaf(certificate: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(certificate)[0]


def _newest(trusted: bytes) -> bytes:
    try:
        found = x509.load_pem_x509_certificates(trusted)
    except ValueError:
        return b""
    return found[-1].public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    life: timedelta,
    now: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(_SKEW, life / 100))
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
