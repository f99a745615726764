"""Whether this replica can do its work."""

from __future__ import annotations

from pullpass.broker.follower import Follower
from pullpass.store.engine import Database


class Health:
    def __init__(self, database: Database, follower: Follower) -> None:
        self._database = database
        self._follower = follower

    async def check(self) -> None:
        """Raises StoreUnavailable where the database does not answer, or changes made by other
        replicas do not reach this one.
        """
        await self._database.ping()
        await self._follower.ensure_fresh()
