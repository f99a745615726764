"""One organization's records in memory, and how they come there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.collector import settle
from pullpass.broker.follower import Follower
from pullpass.domain.matching import MatchIndex
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.record import Record
from pullpass.store.changes import Change, organization_feed
from pullpass.store.record_lookup import Key, KeyKind
from pullpass.store.records import AT_A_TIME, RecordStore, StoredRecord

# Most organizations have no more, and are whole with the first chunk.
_FIRST_CHUNK = 250
_CHUNK = 2000
# So that collecting what came since the last time takes some milliseconds.
_CHUNKS_TO_SETTLE = 3


class Snapshot:
    """An organization's records, built-in ones included.

    An organization's own record hides a built-in one with the same id or prefix.
    """

    def __init__(self, builtins: BuiltinRecords) -> None:
        self.index: MatchIndex[Record] = MatchIndex()
        self._builtins = builtins
        self._own: dict[str, StoredRecord] = {}
        # Which own record has the prefix of a built-in one.
        self._twins: dict[RegistryPrefix, str | None] = {each.prefix: None for each in builtins}
        self._visible_builtins: dict[str, Record] = {}

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
        if record.prefix in self._twins:
            self._twins[record.prefix] = record.id
        self.index.put(record.id, record.prefix, record)

    def remove(self, record_id: str) -> None:
        before = self._own.pop(record_id, None)
        if before is not None:
            # A change that moved the prefix on to another record may have come first.
            if self._twins.get(before.record.prefix) == record_id:
                self._twins[before.record.prefix] = None
            self.index.remove(record_id)

    def show_builtins(self) -> None:
        """Decide anew which built-in records are hidden. Call after ``put`` and ``remove``."""
        for record in self._builtins:
            key = f"builtin/{record.id}"
            hidden = record.id in self._own or self._twins[record.prefix] is not None
            if hidden and self._visible_builtins.pop(record.id, None) is not None:
                self.index.remove(key)
            elif not hidden and record.id not in self._visible_builtins:
                self._visible_builtins[record.id] = record
                self.index.put(key, record.prefix, record)


class FollowedSnapshot:
    """A snapshot that the follower keeps fresh, also while it is being filled: from the database,
    chunk by chunk, and with what is asked for meanwhile.

    It is followed from before the first record is read. What is read goes in unless it was changed
    since then, for the follower has put that there already. ``on_change`` is called with the id of
    each record that changed; ``on_gap`` where there is no following it any more.
    """

    def __init__(
        self,
        organization: str,
        records: RecordStore,
        follower: Follower,
        builtins: BuiltinRecords,
        on_change: Callable[[str], None],
        on_gap: Callable[[], None],
    ) -> None:
        self.snapshot = Snapshot(builtins)
        self.is_followed = False
        self.is_whole = False
        self._organization = organization
        self._feed = organization_feed(organization)
        self._records = records
        self._follower = follower
        self._on_change = on_change
        self._on_gap = on_gap
        self._twins = {
            *(Key(KeyKind.ID, record.id) for record in builtins),
            *(Key(KeyKind.PREFIX, str(record.prefix)) for record in builtins),
        }
        self._given_up = False
        self._last: str | None = None
        self._changed: set[str] = set()
        self._known: set[Key] = set()
        self._wanted: set[Key] = set()
        self._looking_up = asyncio.Lock()
        self._next_look_up: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = self._start(self._begin())
        self.filled = self._start(self._fill())

    async def close(self) -> None:
        """Stop filling it."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def give_up(self) -> None:
        """Another has taken its place: fill and follow it no further."""
        self._given_up = True

    async def fetch(self, keys: Collection[Key]) -> None:
        """Return when every record is there that has one of ``keys``, and no built-in record shows
        that should not.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await asyncio.shield(self._begun)
        if self.is_whole or self._known.issuperset(keys):
            return
        # One at a time; whoever comes meanwhile shares the next: many cost little more than one.
        self._wanted.update(keys)
        if self._next_look_up is None:
            self._next_look_up = self._start(self._look_up())
        await asyncio.shield(self._next_look_up)

    def put(self, created: Sequence[StoredRecord]) -> None:
        """Add records that the follower has not seen yet."""
        for stored in created:
            self._note_change(stored.record.id)
            self.snapshot.put(stored)
        self.snapshot.show_builtins()

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Whoever still waits gets to know the failure.
        if not task.cancelled():
            task.exception()

    async def _begin(self) -> None:
        revision = await self._records.revision(self._organization)
        self._follower.watch(self._feed, revision, self._apply)
        self.is_followed = True
        if await self._read_chunk(_FIRST_CHUNK):
            await self._read(self._twins)
        self.snapshot.show_builtins()

    async def _fill(self) -> None:
        await asyncio.shield(self._begun)
        chunks = 0
        while not self.is_whole and not self._given_up and await self._read_chunk(_CHUNK):
            chunks += 1
            if chunks % _CHUNKS_TO_SETTLE == 0:
                # A snapshot has no cycles: what of it is dropped is freed.
                settle()

    async def _read_chunk(self, limit: int) -> bool:
        """Whether there is more."""
        head, found = await self._records.behind(self._organization, self._last, limit)
        await self._merge(head, found)
        if len(found) < limit:
            self.is_whole = True
            self._changed.clear()
            self._known.clear()
            return False
        self._last = max(stored.record.id for stored in found)
        return True

    async def _look_up(self) -> None:
        async with self._looking_up:
            wanted, self._wanted, self._next_look_up = self._wanted, set(), None
            await self._read(wanted - self._known)

    async def _read(self, keys: set[Key]) -> None:
        if keys:
            await self._merge(*await self._records.known_by(self._organization, keys))
        if not self.is_whole:
            self._known |= keys

    async def _merge(self, head: int, found: Sequence[StoredRecord]) -> None:
        if head > self._follower.applied(self._feed):
            await self._follower.catch_up()
        for number, stored in enumerate(found, 1):
            if stored.record.id not in self._changed and not self.is_whole:
                self.snapshot.put(stored)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _apply(self, changes: Sequence[Change] | None) -> None:
        if self._given_up:
            return
        if changes is None:
            self._on_gap()
            return
        record_ids = {change.subject for change in changes}
        current = await self._records.many(self._organization, record_ids)
        # All leave before any comes, so that a prefix can pass from one record to another.
        for record_id in record_ids:
            self._note_change(record_id)
            self.snapshot.remove(record_id)
        for stored in current.values():
            self.snapshot.put(stored)
        self.snapshot.show_builtins()

    def _note_change(self, record_id: str) -> None:
        if not self.is_whole:
            self._changed.add(record_id)
        self._on_change(record_id)
