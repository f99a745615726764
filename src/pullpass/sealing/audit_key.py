"""The key of the audit log's seals: one for the database, wrapped by the master key."""

from __future__ import annotations

import hmac
import secrets

from pullpass.domain.errors import PullpassError
from pullpass.sealing.master_key import KeyWrapper

AUDIT_KEY_SETTING = "audit_key"
AUDIT_KEY_CONTEXT = b"pullpass/audit-key"
_BYTES = 32


class AuditKeyMissing(PullpassError):
    """There is an audit log, and the key that sealed it is gone."""

    default_code = "audit_key_missing"


class AuditKey:
    """HMAC-SHA-256 (RFC 2104) by a random key of 256 bits."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, claim: bytes) -> bytes:
        return hmac.digest(self._key, claim, "sha256")


async def new_audit_key(wrapper: KeyWrapper) -> bytes:
    """A new key, wrapped; kept in the database under AUDIT_KEY_SETTING."""
    return await wrapper.wrap(secrets.token_bytes(_BYTES), AUDIT_KEY_CONTEXT)


async def unwrap_audit_key(wrapper: KeyWrapper, wrapped: bytes) -> AuditKey:
    """Raises MasterKeyError where it was wrapped by another master key."""
    return AuditKey(await wrapper.unwrap(wrapped, AUDIT_KEY_CONTEXT))
