"""What is done on the machine itself, before there is a token: `pullpass init`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pullpass.api.errors import status_of
from pullpass.broker.audit import Auditor
from pullpass.broker.clock import utc_now
from pullpass.broker.identity import IdentityService
from pullpass.domain.credential import Secret
from pullpass.server.settings import Settings
from pullpass.server.startup import prepare
from pullpass.store.audit import AuditStore
from pullpass.store.identity import IdentityStore


@dataclass(frozen=True, slots=True)
class Founded:
    user_id: str
    token: Secret


async def found(settings: Settings, organization: str, name: str) -> Founded:
    """A new organization with an administrator and a first token.

    Raises:
        InvalidFields: the id is not one.
        Conflict: the organization is there already.
    """
    async with _identity(settings, create=True) as identity:
        user, token = await identity.found_organization(organization, name, None)
    return Founded(user.id, token)


async def recover(settings: Settings, organization: str) -> Founded:
    """Another token for an administrator.

    Raises:
        NoDatabase: nothing was set up yet.
        NotFound: there is no such organization.
    """
    async with _identity(settings, create=False) as identity:
        user, token = await identity.recover_admin(organization)
    return Founded(user.id, token)


@contextlib.asynccontextmanager
async def _identity(settings: Settings, *, create: bool) -> AsyncIterator[IdentityService]:
    prepared = await prepare(settings, create=create)
    database = prepared.database
    audit = Auditor(AuditStore(database, prepared.audit_key), utc_now, status_of)
    try:
        yield IdentityService(IdentityStore(database), None, audit, utc_now)
    finally:
        await database.close()
