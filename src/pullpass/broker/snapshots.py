"""Each organization's records in memory, indexed for matching and kept fresh by the follower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.follower import Follower
from pullpass.domain.image import ImageReference
from pullpass.domain.matching import MatchIndex
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.record import Record
from pullpass.store.changes import Change, organization_feed
from pullpass.store.records import RecordStore, StoredRecord

# Seconds: far more than it takes to load as many records as most organizations have.
_PATIENCE = 0.5


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
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._wildcards: dict[str, tuple[int, list[StoredRecord]]] = {}

    async def close(self) -> None:
        """Stop loading."""
        for loading in self._loading.values():
            loading.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    async def get(self, organization: str) -> Snapshot:
        """The organization's snapshot, at most a second old.

        Raises:
            StoreUnavailable: it is not loaded, or too old, and the database does not answer.
        """
        if organization not in self._loaded:
            await asyncio.shield(self._begin_loading(organization))
        await self._follower.ensure_fresh()
        return self._loaded[organization]

    async def about(
        self,
        organization: str,
        *,
        image: ImageReference | None = None,
        record_id: str | None = None,
    ) -> Snapshot:
        """As :meth:`get`; but while many records are being loaded, a snapshot that is whole only
        as far as that image, or that record, is concerned.
        """
        if organization not in self._loaded:
            loading = self._begin_loading(organization)
            await asyncio.wait({loading}, timeout=_PATIENCE)
            if not loading.done():
                ids = [record_id] if record_id is not None else []
                return await self._part(organization, ids, _holding(image) if image else [])
        return await self.get(organization)

    async def refresh(self, organization: str) -> None:
        """Make a change that was just committed visible in this process at once."""
        if organization in self._loaded:
            await self._follower.catch_up()

    async def add(self, organization: str, created: Sequence[StoredRecord]) -> None:
        """Make records visible at once that were just created in one transaction, in the order of
        their versions.
        """
        if not created or organization not in self._loaded:
            return

        def put() -> None:
            snapshot = self._loaded[organization]
            for stored in created:
                snapshot.put(stored)
                self._on_change(organization, stored.record.id)
            snapshot.show_builtins()

        versions = created[0].record.version, created[-1].record.version
        await self._follower.advance(organization_feed(organization), *versions, put)

    def _begin_loading(self, organization: str) -> asyncio.Task[None]:
        loading = self._loading.get(organization)
        if loading is None:
            loading = asyncio.create_task(self._load(organization))
            self._loading[organization] = loading
            loading.add_done_callback(partial(self._end_loading, organization))
        return loading

    def _end_loading(self, organization: str, loading: asyncio.Task[None]) -> None:
        self._loading.pop(organization, None)
        self._wildcards.pop(organization, None)
        # Whoever still waits gets to know the failure, and whoever asks next begins anew.
        if not loading.cancelled():
            loading.exception()

    async def _part(
        self, organization: str, ids: Collection[str], prefixes: Collection[str]
    ) -> Snapshot:
        # With what may hide a built-in record, so that none shows that should not.
        head, found = await self._records.some(
            organization,
            ids={*ids, *(record.id for record in self._builtins)},
            prefixes={*prefixes, *(str(record.prefix) for record in self._builtins)},
        )
        wildcards = self._wildcards.get(organization)
        if wildcards is None or wildcards[0] != head:
            wildcards = await self._records.wildcards(organization)
            self._wildcards[organization] = wildcards
        snapshot = Snapshot(self._builtins)
        for stored in (*wildcards[1], *found):
            snapshot.put(stored)
        snapshot.show_builtins()
        return snapshot

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


def _holding(image: ImageReference) -> list[str]:
    """Every prefix without a `*` that would hold ``image``, as records are stored by it."""
    if not image.host:
        return []
    path = image.path
    return [str(RegistryPrefix(image.host, path[:depth])) for depth in range(len(path) + 1)]
