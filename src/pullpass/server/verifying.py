"""Verifying the audit log where the database and the master key are: `pullpass audit verify`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pullpass.domain.audit_verification import Verification
from pullpass.domain.errors import NotFound
from pullpass.server.settings import Settings
from pullpass.server.startup import prepare
from pullpass.store.audit_reading import AuditReader


async def verify(
    settings: Settings, organization: str | None, noted: tuple[int, bytes] | None
) -> AsyncIterator[Verification]:
    """The finished verification of each organization's chain, or of one alone.

    ``noted``: see :class:`Verification`.

    Raises:
        NoDatabase: there is no log to verify.
        NotFound: there is no such organization.
    """
    prepared = await prepare(settings, create=False)
    try:
        reader = AuditReader(prepared.database)
        chains = [
            each.organization
            for each in await reader.chains()
            if organization in (None, each.organization)
        ]
        if organization is not None and not chains:
            raise NotFound(
                f"There is no organization '{organization}'.", code="organization_not_found"
            )
        for each in chains:
            async with reader.reading(each) as (chain, chunks):
                found = Verification(chain, prepared.audit_key, noted)
                found.begin()
                async for chunk in chunks:
                    found.check(chunk)
                found.finish()
            yield found
    finally:
        await prepared.database.close()
