"""The entries of the audit log, as the server answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pullpass.client.fields import Fields


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry. ``document`` is all of it as it came: what its ``hash`` is made of, besides
    `sequence` and `hash` themselves.
    """

    sequence: int
    hash: str
    action: str
    result: str
    user_id: str
    user_name: str
    at: datetime | None = None
    role: str | None = None
    token_id: str | None = None
    registry_id: str | None = None
    subject_id: str | None = None
    image: str | None = None
    host: str | None = None
    address: str | None = None
    code: str | None = None
    document: Mapping[str, object] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> AuditEntry:
        return cls(
            sequence=int(fields.number("sequence")),
            hash=fields.text("hash"),
            action=fields.text("action"),
            result=fields.text("result"),
            user_id=fields.text("user_id"),
            user_name=fields.text("user_name"),
            at=fields.moment("at"),
            role=fields.optional_text("role"),
            token_id=fields.optional_text("token_id"),
            registry_id=fields.optional_text("registry_id"),
            subject_id=fields.optional_text("subject_id"),
            image=fields.optional_text("image"),
            host=fields.optional_text("host"),
            address=fields.optional_text("address"),
            code=fields.optional_text("code"),
            document=fields.whole(),
        )
