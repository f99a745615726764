"""The sealed key material: wrapped data keys, and small values that are set once for ever."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, inspect, select, update
from sqlalchemy.exc import IntegrityError

from pullpass.domain.access import organization_not_found
from pullpass.store.audit import Recording, unrecorded
from pullpass.store.engine import Database, insert
from pullpass.store.schema import data_keys, settings


class KeyStore:
    """Every ``put_..._once`` keeps what is there already: of all replicas, the first one wins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def setting(self, name: str) -> bytes | None:
        """The value; None also where the database has no tables yet."""
        async with self._database.read() as connection:
            if not await connection.run_sync(_has_settings):
                return None
            query = select(settings.c.value).where(settings.c.name == name)
            value: bytes | None = (await connection.execute(query)).scalar_one_or_none()
            return value

    async def put_setting_once(
        self, name: str, value: bytes, *, then: Recording = unrecorded
    ) -> bytes:
        """Store ``value`` unless there is one; returns the one that is there.

        ``then`` is what else is written in the transaction where it was stored.
        """
        async with self._database.write() as connection:
            row = {"name": name, "value": value}
            put = insert(connection, settings).values(row).on_conflict_do_nothing()
            await connection.execute(put)
            query = select(settings.c.value).where(settings.c.name == name)
            stored: bytes = (await connection.execute(query)).scalar_one()
            if stored == value:
                await then(connection)
            return stored

    async def data_key(self, organization: str) -> bytes | None:
        query = select(data_keys.c.wrapped).where(data_keys.c.organization_id == organization)
        async with self._database.read() as connection:
            wrapped: bytes | None = (await connection.execute(query)).scalar_one_or_none()
            return wrapped

    async def put_data_key_once(self, organization: str, wrapped: bytes, *, now: datetime) -> bytes:
        """Store ``wrapped`` unless there is a key; returns the one that is there.

        Raises:
            NotFound: there is no such organization.
        """
        query = select(data_keys.c.wrapped).where(data_keys.c.organization_id == organization)
        row = {"organization_id": organization, "wrapped": wrapped, "created_at": now}
        try:
            async with self._database.write() as connection:
                put = insert(connection, data_keys).values(row).on_conflict_do_nothing()
                await connection.execute(put)
                stored: bytes = (await connection.execute(query)).scalar_one()
        except IntegrityError:
            raise organization_not_found(organization) from None
        return stored

    async def data_keys(self) -> dict[str, bytes]:
        """The wrapped data key of every organization that has one."""
        query = select(data_keys.c.organization_id, data_keys.c.wrapped)
        async with self._database.read() as connection:
            return {row.organization_id: row.wrapped for row in await connection.execute(query)}

    async def replace_data_key(self, organization: str, before: bytes, after: bytes) -> None:
        """Put ``after`` in the place of ``before``; nothing where that is no longer there."""
        query = (
            update(data_keys)
            .where(data_keys.c.organization_id == organization, data_keys.c.wrapped == before)
            .values(wrapped=after)
        )
        async with self._database.write() as connection:
            await connection.execute(query)

    async def replace_setting(self, name: str, before: bytes, after: bytes) -> bool:
        """As :meth:`replace_data_key`, for a setting; whether it was replaced."""
        query = (
            update(settings)
            .where(settings.c.name == name, settings.c.value == before)
            .values(value=after)
        )
        async with self._database.write() as connection:
            return (await connection.execute(query)).rowcount == 1


def _has_settings(connection: Connection) -> bool:
    return inspect(connection).has_table(settings.name)
