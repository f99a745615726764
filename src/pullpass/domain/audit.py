"""The audit log: what an entry says, and how entries are chained so that none can be changed.

An entry is a JSON document whose names are those of the reference document's `AuditLogEntry`,
and more in the same style. Its bytes are what is chained: names in order, no spaces, ASCII, no
name without a value.

Each organization has a chain of its own, with sequence numbers from 1 on and without gaps:

    hash(n)       = SHA-256("pullpass/audit/1" NUL organization NUL n NUL hash(n-1) document)
    seal(n)       = HMAC("entry" NUL organization NUL n NUL hash(n) document)
    head          = HMAC("head" NUL organization NUL n NUL hash(n)), of the last entry
    checkpoint    = HMAC("pruned" NUL organization NUL n NUL hash(n)), of the last pruned entry

Anybody can follow the hashes of an export. The HMACs need the audit key, which the master key
seals: without it, who can write to the database cannot make an entry, nor a head for a chain that
was cut short. See docs/audit.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pullpass.domain import timestamp

VERSION = 1
GENESIS = bytes(32)
_LONGEST = 500

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class AuditAction(StrEnum):
    """What was done, or asked for."""

    READ_CREDENTIAL = "credential.read"
    CREATE_REGISTRY = "registry.create"
    UPDATE_REGISTRY = "registry.update"
    DELETE_REGISTRY = "registry.delete"
    CHECK_REGISTRY = "registry.check"
    CREATE_ORGANIZATION = "organization.create"
    CREATE_USER = "user.create"
    UPDATE_USER = "user.update"
    DELETE_USER = "user.delete"
    CREATE_TOKEN = "token.create"  # noqa: S105
    DELETE_TOKEN = "token.delete"  # noqa: S105
    EXCHANGE_TOKEN = "token.exchange"  # noqa: S105
    SIGN_IN = "user.sign_in"
    CREATE_TRUST_RULE = "trust_rule.create"
    UPDATE_TRUST_RULE = "trust_rule.update"
    DELETE_TRUST_RULE = "trust_rule.delete"
    FORGET_CLUSTER = "cluster.forget"
    REFUSE_ROLE = "role.refuse"
    BEGIN_LOG = "audit.begin"
    FIND_DAMAGE = "audit.damage"


class AuditResult(StrEnum):
    """Whether it was done; ``code`` of a refusal says why not."""

    OK = "ok"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, with which token, in which role (None: in no role of the organization).

    ``subject`` is whom a token is about that was given for an identity token.
    """

    user_id: str
    user_name: str
    token_id: str | None = None
    role: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in an organization. ``subject_id`` is the user, rule or cluster
    that it was done to, ``image`` or ``host`` what a credential was asked for. No field is ever a
    secret.
    """

    organization: str
    action: AuditAction
    at: datetime
    actor: Actor
    method: str
    path: str
    status: int
    code: str | None = None
    registry_id: str | None = None
    subject_id: str | None = None
    image: str | None = None
    host: str | None = None
    request_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def result(self) -> AuditResult:
        return AuditResult.OK if self.code is None else AuditResult.REFUSED

    def document(self) -> str:
        """The entry as it is chained, kept and shown."""
        found = {
            "action": self.action,
            "address": self.address,
            "at": timestamp.render(self.at),
            "code": self.code,
            "details": {name: short(text) for name, text in self.details.items()} or None,
            "host": short(self.host),
            "image": short(self.image),
            "org_id": self.organization,
            "registry_id": short(self.registry_id),
            "request_id": self.request_id,
            "request_method": self.method,
            "request_path": short(self.path),
            "response_status": self.status,
            "result": self.result,
            "role": self.actor.role,
            "subject_id": short(self.subject_id),
            "token_id": self.actor.token_id,
            "token_subject": short(self.actor.subject),
            "user_agent": short(self.user_agent),
            "user_id": self.actor.user_id,
            "user_name": self.actor.user_name,
            "version": VERSION,
        }
        return _encode({name: value for name, value in found.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place in the chain."""

    sequence: int
    document: str
    hash: bytes

    def as_json(self) -> str:
        """One line: the document as it is, so that its hash can be made again from it."""
        return f'{{"sequence":{self.sequence},"hash":"{self.hash.hex()}",{self.document[1:]}'


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; None: any."""

    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    user_id: str | None = None
    registry_id: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ends: the entry that was looked at last."""

    at: datetime
    sequence: int


def next_hash(organization: str, sequence: int, before: bytes, document: str) -> bytes:
    """The hash of the entry with that number, after the one with the hash ``before``."""
    start = f"pullpass/audit/{VERSION}\0{organization}\0{sequence}\0".encode()
    return hashlib.sha256(start + before + document.encode()).digest()


def entry_claim(organization: str, sequence: int, hash_: bytes, document: str) -> bytes:
    """What the seal of an entry is made of."""
    return _claim("entry", organization, sequence, hash_) + document.encode()


def head_claim(organization: str, sequence: int, hash_: bytes) -> bytes:
    """What says that the chain goes this far."""
    return _claim("head", organization, sequence, hash_)


def checkpoint_claim(organization: str, sequence: int, hash_: bytes) -> bytes:
    """What says that the entries up to this one were pruned on purpose."""
    return _claim("pruned", organization, sequence, hash_)


def _claim(kind: str, organization: str, sequence: int, hash_: bytes) -> bytes:
    return f"{kind}\0{organization}\0{sequence}\0".encode() + hash_


def short(text: str | None) -> str | None:
    """What others sent may be long; an entry keeps its beginning."""
    return text if text is None or len(text) <= _LONGEST else text[:_LONGEST]
