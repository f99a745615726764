"""Identity tokens: signed JWTs that say who a job, a pod or a person is.

What is checked is what OpenID Connect Core 1.0 section 3.1.3.7, RFC 7519 section 7.2 and the best
practices of RFC 8725 ask for, apart from issuer and audience, which rules decide on.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key, RSAKey
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from pullpass.domain.credential import Secret
from pullpass.exchange.failure import IdentityTokenRefused

# Signatures by a private key alone, never `none` and no HMAC: with an HMAC, a public key would do
# as the secret (RFC 8725 section 2.1). What type of key each of them takes.
_ALGORITHMS: Mapping[str, str] = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"ES{bits}": "EC" for bits in (256, 384, 512)},
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
_TYPES = frozenset({"jwt", "application/jwt", "at+jwt", "application/at+jwt"})
_LONGEST = 16 * 1024
_LONGEST_SUBJECT = 1000
_MOST_KEYS = 100
_SMALLEST_RSA = 2048
# RFC 7519 section 4.1.4: "usually no more than a few minutes"; a minute is what clocks that are
# kept by NTP never need, and little beside the five minutes that a job's token lives.
_CLOCK_SKEW = 60


class _Registry(JWSRegistry):
    # Certificates and their hashes may stand in a header; what is not known is to be ignored
    # (RFC 7515 section 4), but for what `crit` names.
    max_header_length = 8 * 1024


_REGISTRY = _Registry(algorithms=list(_ALGORITHMS), strict_check_header=False)


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A token that is well-formed and of this time. Nothing says yet that its issuer signed it."""

    claims: Mapping[str, object]
    algorithm: str
    key_id: str | None
    _signed: CompactSignature = field(repr=False)

    @property
    def issuer(self) -> str:
        return str(self.claims["iss"])

    @property
    def subject(self) -> str:
        return str(self.claims["sub"])

    def key_among(self, keys: Iterable[Key]) -> Key | None:
        """The key that the token names; without a name, the only one that is of its kind."""
        fitting = [
            key
            for key in keys
            if key.key_type == _ALGORITHMS[self.algorithm]
            and key.get("alg") in (None, self.algorithm)
            and (self.key_id is None or key.kid == self.key_id)
        ]
        if self.key_id is None and len(fitting) > 1:
            return None
        return fitting[0] if fitting else None

    def verify(self, key: Key) -> None:
        """Raises IdentityTokenRefused where ``key`` has not signed the token."""
        try:
            with _quiet():
                valid = jws.validate_compact(self._signed, key, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError) as error:
            raise IdentityTokenRefused(
                f"its signature cannot be checked: {type(error).__name__}"
            ) from None
        if not valid:
            raise IdentityTokenRefused("its signature is wrong")


def read(token: Secret, now: datetime) -> IdentityToken:
    """The token as it is read, and found to be of this time, before anybody vouches for it.

    Raises:
        IdentityTokenRefused: too long, no signed JWT, by an algorithm or of a type that is not
            taken, without a claim that has to be there, or not valid now.
    """
    text = token.reveal()
    if len(text) > _LONGEST:
        raise IdentityTokenRefused(f"it is longer than {_LONGEST} characters")
    if text.count(".") != 2:
        raise IdentityTokenRefused("it is no signed JWT (three parts with dots between them)")
    try:
        signed = jws.extract_compact(text.encode(), registry=_REGISTRY)
        header = signed.headers()
        _REGISTRY.check_header(header)
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise IdentityTokenRefused(
            "it is no JWT (header and claims in JSON, as base64url)"
        ) from None
    algorithm, kind, key_id = header.get("alg"), header.get("typ"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise IdentityTokenRefused(f"it is signed by {str(algorithm)[:20]!a}, which is not taken")
    if kind is not None and str(kind).lower() not in _TYPES:
        raise IdentityTokenRefused(f"its type is {str(kind)[:40]!a}, not 'JWT'")
    # RFC 7797 changes what is signed.
    if header.get("b64", True) is not True or not isinstance(claims, dict):
        raise IdentityTokenRefused("its payload is no JSON object in Base64")
    _check_claims(claims, now)
    return IdentityToken(claims, algorithm, key_id, signed)


def keys_of(document: Mapping[str, object]) -> Sequence[Key]:
    """The keys of a JWK set (RFC 7517 section 5) that can have signed a token. Others, of types
    that are not known too, are left out.
    """
    entries = document.get("keys")
    found: list[Key] = []
    for entry in (entries if isinstance(entries, list) else [])[:_MOST_KEYS]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        if entry.get("kty") not in _ALGORITHMS.values():
            continue
        try:
            with _quiet():
                key = JWKRegistry.import_key(entry)
                weak = isinstance(key, RSAKey) and key.raw_value.key_size < _SMALLEST_RSA
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if not weak:
            found.append(key)
    return found


def _check_claims(claims: dict[str, object], now: datetime) -> None:
    there: ClaimsOption = {"essential": True}
    rules = JWTClaimsRegistry(
        now=int(now.timestamp()), leeway=_CLOCK_SKEW, iss=there, sub=there, aud=there, exp=there
    )
    try:
        rules.validate(claims)
    except ExpiredTokenError:
        raise IdentityTokenRefused("it has expired") from None
    except JoseError as error:
        raise IdentityTokenRefused(f"its claims are wrong: {error.description}") from None
    subject = str(claims["sub"])
    if not subject.isprintable() or len(subject) > _LONGEST_SUBJECT:
        raise IdentityTokenRefused(
            f"its subject is longer than {_LONGEST_SUBJECT} characters, or not printable"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's advice to those who choose keys and algorithms: issuers do that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        yield
