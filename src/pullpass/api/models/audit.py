"""The audit log on the wire: the reference document's names, and more in the same style."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.api.models.common import Timestamp


class AuditLogEntry(Struct):
    """An entry in the audit log.

    But for `sequence` and `hash`, an entry is what its hash is made of: as JSON with the names in
    order and without spaces, it is the document of the page on the audit log.
    """

    sequence: Annotated[int, Meta(description="The place in the organization's chain.", ge=1)]
    hash: Annotated[str, Meta(description="SHA-256 in hex; see the page on the audit log.")]
    action: Annotated[str, Meta(description="What was done, or asked for.")]
    at: Timestamp
    org_id: str
    request_method: Annotated[
        str, Meta(description="The HTTP method, or `LOCAL` for what is done on the server itself.")
    ]
    request_path: str
    response_status: int
    result: Annotated[str, Meta(description="`ok` or `refused`.", pattern="^(ok|refused)$")]
    user_id: str
    user_name: str
    version: int
    address: Annotated[str, Meta(description="Where the call came from.")] | UnsetType = UNSET
    code: Annotated[str, Meta(description="Why it was refused.")] | UnsetType = UNSET
    details: dict[str, str] | UnsetType = UNSET
    host: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
    registry_id: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    subject_id: (
        Annotated[str, Meta(description="The user, trust rule or cluster that it was done to.")]
        | UnsetType
    ) = UNSET
    token_id: str | UnsetType = UNSET
    token_subject: (
        Annotated[str, Meta(description="Whom the identity token was about.")] | UnsetType
    ) = UNSET
    user_agent: str | UnsetType = UNSET
