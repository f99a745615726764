"""What is kept of an issued credential: under which name, in which form, and as which error."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from pullpass.domain import timestamp
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import ExchangeFailed
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.exchange.exchanger import Issued
from pullpass.sealing.keyring import Place
from pullpass.store.issued import Failure


def place_of(organization: str, identity: str) -> Place:
    """Where what was issued from an identity is sealed for."""
    return Place(organization, identity, "issued")


def identity_of(record: Record, creds: Credential | None) -> str:
    """What a credential is issued from, as a name that tells nothing of it.

    The secret is part of it: who knows only the name of another record's account must not get
    what was issued from it. All of what goes in is made by machines and long.
    """
    parts: list[object] = [record.type, sorted((record.options or {}).items())]
    if creds is not None:
        parts += [creds.username, creds.password.reveal()]
    if record.type is RecordType.GITLAB_DEPLOY_TOKEN:
        # Revoked with its record, so it cannot be another's too.
        parts.append(record.id)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def as_error(failure: Failure, now: datetime) -> ExchangeFailed:
    """The failed exchange that is remembered, as an error that says when the next try is."""
    wait = max(1, round((failure.retry_at - now).total_seconds()))
    return ExchangeFailed(
        failure.message,
        code=failure.code,
        details={"retry_at": timestamp.render(failure.retry_at)},
        retry_after=wait,
    )


def pack(issued: Issued) -> bytes:
    """What is sealed and stored; with the password in clear."""
    credential = issued.credential
    return json.dumps(
        {
            "username": credential.username,
            "password": credential.password.reveal(),
            "expires": timestamp.render(issued.expires),
            "handle": issued.handle,
        }
    ).encode()


def unpack(plain: bytes) -> Issued:
    """What ``pack`` made."""
    fields = json.loads(plain)
    expires = timestamp.parse(fields["expires"])
    credential = Credential(fields["username"], Secret(fields["password"]), expires)
    return Issued(credential, fields["handle"])
