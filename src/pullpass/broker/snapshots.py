"""Each organization's records in memory, indexed for matching and kept fresh by the follower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.follower import Follower
from pullpass.domain.matching import MatchIndex
from pullpass.domain.record import Record
from pullpass.store.changes import Change, organization_feed
from pullpass.store.records import RecordStore, StoredRecord


class Snapshot:
    """One organization's records as of a revision of its feed, built-in ones included.

    An organization's own record hides a built-in one with the same id or prefix.
    """

    def __init__(self, builtins: BuiltinRecords) -> None:
        self.index: MatchIndex[Record] = MatchIndex()
        self._builtins = builtins
        self._own: dict[str, StoredRecord] = {}
        self._own_prefixes: dict[str, str] = {}
        self._visible_builtins: dict[str, Record] = {}
        self.show_builtins()

    @property
    def builtins(self) -> Mapping[str, Record]:
        """The built-in records that this organization sees, by id."""
        return self._visible_builtins

    def own(self, record_id: str) -> StoredRecord | None:
        return self._own.get(record_id)

    def put(self, stored: StoredRecord) -> None:
        record = stored.record
        self.remove(record.id)
        self._own[record.id] = stored
        self._own_prefixes[str(record.prefix)] = record.id
        self.index.put(record.id, record.prefix, record)

    def remove(self, record_id: str) -> None:
        before = self._own.pop(record_id, None)
        if before is not None:
            prefix = str(before.record.prefix)
            # A change that moved the prefix on to another record may have come first.
            if self._own_prefixes.get(prefix) == record_id:
                del self._own_prefixes[prefix]
            self.index.remove(record_id)

    def show_builtins(self) -> None:
        """Decide anew which built-in records are hidden. Call after ``put`` and ``remove``."""
        for record in self._builtins:
            key = f"builtin/{record.id}"
            hidden = record.id in self._own or str(record.prefix) in self._own_prefixes
            if hidden and self._visible_builtins.pop(record.id, None) is not None:
                self.index.remove(key)
            elif not hidden and record.id not in self._visible_builtins:
                self._visible_builtins[record.id] = record
                self.index.put(key, record.prefix, record)


class Snapshots:
    """The snapshots of the organizations that were asked for, each loaded once.

    ``on_change`` is called with organization and record id for every record that changed.
    """

    def __init__(
        self,
        records: RecordStore,
        follower: Follower,
        builtins: BuiltinRecords,
        on_change: Callable[[str, str], None],
    ) -> None:
        self._on_change = on_change
        self._records = records
        self._follower = follower
        self._builtins = builtins
        self._loaded: dict[str, Snapshot] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    async def get(self, organization: str) -> Snapshot:
        """The organization's snapshot, at most a second old.

        Raises:
            StoreUnavailable: it is not loaded, or too old, and the database does not answer.
        """
        if organization not in self._loaded:
            async with self._loading.setdefault(organization, asyncio.Lock()):
                if organization not in self._loaded:
                    await self._load(organization)
        await self._follower.ensure_fresh()
        return self._loaded[organization]

    async def refresh(self, organization: str) -> None:
        """Make a change that was just committed visible in this process at once."""
        if organization in self._loaded:
            await self._follower.catch_up()

    async def _load(self, organization: str) -> None:
        # The revision is read first: a change made while loading is then applied again.
        revision = await self._records.revision(organization)
        snapshot = Snapshot(self._builtins)
        async for chunk in self._records.stream(organization):
            for stored in chunk:
                snapshot.put(stored)
        snapshot.show_builtins()
        self._loaded[organization] = snapshot

        async def apply(changes: Sequence[Change] | None) -> None:
            if changes is None:
                await self._load(organization)
            else:
                await self._apply(organization, {change.subject for change in changes})

        self._follower.watch(organization_feed(organization), revision, apply)

    async def _apply(self, organization: str, record_ids: set[str]) -> None:
        snapshot = self._loaded[organization]
        current = await self._records.many(organization, record_ids)
        # All leave before any comes, so that a prefix can pass from one record to another.
        for record_id in record_ids:
            snapshot.remove(record_id)
            self._on_change(organization, record_id)
        for stored in current.values():
            snapshot.put(stored)
        snapshot.show_builtins()
