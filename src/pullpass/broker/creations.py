"""New records that come at the same time share a transaction, and so its wait for the disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from pullpass.broker.audit import Auditor
from pullpass.broker.clock import Clock
from pullpass.broker.group_commit import GroupCommit
from pullpass.broker.snapshots import Snapshots
from pullpass.domain.audit import Event
from pullpass.domain.errors import Conflict, Unavailable
from pullpass.domain.record import Record
from pullpass.store.audit import Recording
from pullpass.store.audit_extension import Log
from pullpass.store.record_creation import NewRecord
from pullpass.store.records import RecordStore, StoredRecord


class Creations:
    """Each organization's by themselves, so that none fails with another's."""

    def __init__(
        self, records: RecordStore, snapshots: Snapshots, audit: Auditor, clock: Clock
    ) -> None:
        self._records = records
        self._snapshots = snapshots
        self._audit = audit
        self._clock = clock
        self._commits: dict[str, GroupCommit[NewRecord, Record | Conflict]] = {}

    async def close(self) -> None:
        """Return when nothing is left to write."""
        for commit in list(self._commits.values()):
            await commit.close()

    async def create(self, organization: str, new: NewRecord) -> Record:
        """The record as stored, when it is on disk and seen by this process.

        Raises:
            Conflict, NotFound: as :meth:`RecordStore.create`.
            Unavailable: too many are waiting (`creations_overloaded`).
        """
        commit = self._commits.get(organization)
        if commit is None:
            commit = GroupCommit(partial(self._write, organization), _overload)
            self._commits[organization] = commit
        try:
            outcome = await commit.append(new)
        finally:
            if commit.idle and self._commits.get(organization) is commit:
                del self._commits[organization]
        if isinstance(outcome, Conflict):
            raise outcome
        return outcome

    async def _write(
        self, organization: str, batch: Sequence[NewRecord]
    ) -> Sequence[Record | Conflict]:
        now = self._clock()
        outcomes: Sequence[Record | Conflict] | None
        outcomes = await self._add(organization, batch, now)
        if outcomes is None:
            outcomes = await self._records.create_many(
                organization, batch, now=now, audit=self._recording
            )
        created = [
            StoredRecord(outcome, new.sealed)
            for new, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, Record)
        ]
        await self._snapshots.add(organization, created)
        return outcomes

    async def _add(
        self, organization: str, batch: Sequence[NewRecord], now: datetime
    ) -> Sequence[Record] | None:
        """The records, where all can be created; else None, and nothing is done."""
        created: list[Record] = []

        async def put(log: Log) -> bool:
            added = await self._records.add(organization, batch, now=now, log=log)
            created.extend(added or ())
            return added is not None

        return created if await self._audit.extend(_events(batch), put) else None

    def _recording(self, created: Sequence[NewRecord]) -> Recording:
        return self._audit.recording(_events(created))


def _events(created: Sequence[NewRecord]) -> list[Event]:
    return [new.event for new in created if new.event is not None]


def _overload() -> Unavailable:
    return Unavailable(
        "Records are asked for faster than they can be written. Try again.",
        code="creations_overloaded",
    )
