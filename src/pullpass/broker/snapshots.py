"""Each organization's records in memory, indexed for matching and kept fresh by the follower."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.follower import Follower
from pullpass.broker.snapshot import FollowedSnapshot, Snapshot
from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix
from pullpass.store.changes import organization_feed
from pullpass.store.record_lookup import Key, KeyKind
from pullpass.store.records import RecordStore, StoredRecord


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
        self._held: dict[str, FollowedSnapshot] = {}

    async def close(self) -> None:
        """Stop loading."""
        await asyncio.gather(*(held.close() for held in tuple(self._held.values())))

    async def get(self, organization: str) -> Snapshot:
        """The organization's snapshot, whole and at most a second old.

        Raises:
            StoreUnavailable: it is not loaded, or too old, and the database does not answer.
        """
        return await self._when(organization, lambda held: asyncio.shield(held.filled))

    async def about(
        self,
        organization: str,
        *,
        image: ImageReference | None = None,
        record_id: str | None = None,
    ) -> Snapshot:
        """As :meth:`get`; but while many records are being loaded, a snapshot that is whole only
        as far as that image, that record and the built-in records are concerned.
        """
        return await self._when(organization, lambda held: held.fetch(_keys(image, record_id)))

    async def _when(
        self, organization: str, ready: Callable[[FollowedSnapshot], Awaitable[None]]
    ) -> Snapshot:
        """The fresh snapshot, after ``ready`` where it is not whole yet."""
        while True:
            held = self._hold(organization)
            if not held.is_whole:
                await ready(held)
            await self._follower.ensure_fresh()
            # It may have been replaced meanwhile.
            if self._held.get(organization) is held:
                return held.snapshot

    async def refresh(self, organization: str) -> None:
        """Make a change that was just committed visible in this process at once."""
        if organization in self._held:
            await self._follower.catch_up()

    async def add(self, organization: str, created: Sequence[StoredRecord]) -> None:
        """Make records visible at once that were just created in one transaction, in the order of
        their versions.
        """
        held = self._held.get(organization)
        if not created or held is None or not held.is_followed:
            return

        def put() -> None:
            held = self._held.get(organization)
            if held is not None:
                held.put(created)

        versions = created[0].record.version, created[-1].record.version
        await self._follower.advance(organization_feed(organization), *versions, put)

    def _hold(self, organization: str) -> FollowedSnapshot:
        held = self._held.get(organization)
        if held is None:
            held = FollowedSnapshot(
                organization,
                self._records,
                self._follower,
                self._builtins,
                partial(self._on_change, organization),
                partial(self._reload, organization),
            )
            self._held[organization] = held
            held.filled.add_done_callback(partial(self._forget_failed, organization, held))
        return held

    def _reload(self, organization: str) -> None:
        # Its records may be gone: what is asked for until the next is whole, that one looks up.
        self._held.pop(organization).give_up()
        self._hold(organization)

    def _forget_failed(
        self, organization: str, held: FollowedSnapshot, filled: asyncio.Task[None]
    ) -> None:
        # Whoever asks next begins anew.
        if filled.cancelled() or filled.exception() is not None:
            held.give_up()
            if self._held.get(organization) is held:
                del self._held[organization]


def _keys(image: ImageReference | None, record_id: str | None) -> set[Key]:
    """One of these has the record of that id, and each whose prefix holds ``image``."""
    keys = set() if record_id is None else {Key(KeyKind.ID, record_id)}
    if image is not None and image.host:
        host, path = image.host, image.path
        for depth in range(len(path) + 1):
            keys.add(Key(KeyKind.PREFIX, str(RegistryPrefix(host, path[:depth]))))
        for length in range(len(host) + 1):
            keys.add(Key(KeyKind.WILDCARD, host[:length]))
    return keys
