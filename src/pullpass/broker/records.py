"""Creating, changing, listing and deleting registry records."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pullpass.broker.audit import Auditor, given_fields
from pullpass.broker.builtins import refuse_change
from pullpass.broker.clock import Clock
from pullpass.broker.creations import Creations
from pullpass.broker.issuing import Ending, Issuer
from pullpass.broker.snapshots import Snapshots
from pullpass.broker.vault import Vault
from pullpass.domain import access
from pullpass.domain import draft as drafts
from pullpass.domain.access import Action, Caller
from pullpass.domain.audit import AuditAction, Event
from pullpass.domain.credential import Credential
from pullpass.domain.draft import Draft
from pullpass.domain.errors import (
    Conflict,
    FieldProblem,
    InvalidFields,
    NotFound,
    PreconditionFailed,
)
from pullpass.domain.record import EVERY_RECORD, Health, Record, RecordFilter, health_of
from pullpass.domain.record_types import TYPE_RULES
from pullpass.sealing.keyring import SealBroken
from pullpass.store.audit import Recording
from pullpass.store.checks import CheckStore
from pullpass.store.record_creation import NewRecord
from pullpass.store.records import RecordStore, StoredRecord

_LIST_CHUNK = 1000
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class _Change:
    """A valid change: what is stored, with its credential, and what would be."""

    stored: StoredRecord
    creds: Credential | None = field(repr=False)
    draft: Draft


class RecordService:
    """Reads go to the database, so that what one replica has acknowledged every other shows."""

    def __init__(
        self,
        records: RecordStore,
        checks: CheckStore,
        snapshots: Snapshots,
        vault: Vault,
        issuer: Issuer,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._audit = audit
        self._records = records
        self._checks = checks
        self._snapshots = snapshots
        self._vault = vault
        self._clock = clock
        self._creations = Creations(records, snapshots, audit, clock)

    async def close(self) -> None:
        """Return when nothing is left to write."""
        await self._creations.close()

    async def get(self, caller: Caller, record_id: str) -> Record:
        """The record with its status, as the caller may see it.

        Raises:
            NotFound: the organization has none such.
        """
        stored = await self._records.get(caller.organization, record_id)
        record = await self._builtin(caller, record_id) if stored is None else stored.record
        if record is None:
            raise record_not_found(record_id)
        return (await self._with_status(caller, [record]))[0]

    async def page(
        self,
        caller: Caller,
        *,
        after: str | None,
        limit: int,
        wanted: RecordFilter = EVERY_RECORD,
    ) -> Sequence[Record]:
        """At most ``limit`` records with an id after ``after``, by id, each with its status."""
        own = await self._records.page(caller.organization, after=after, limit=limit, wanted=wanted)
        own_ids = {record.id for record in own}
        builtins = [
            record
            for record in await self._builtins(caller, wanted)
            if record.id not in own_ids and (after is None or record.id > after)
        ]
        found = sorted(own + builtins, key=lambda record: record.id)[:limit]
        return await self._with_status(caller, found)

    async def count(self, caller: Caller, wanted: RecordFilter) -> Mapping[Health, int]:
        """How many records there are of each health."""
        found = Counter(await self._records.count(caller.organization, wanted))
        found.update(health_of(record) for record in await self._builtins(caller, wanted))
        return found

    async def list(self, caller: Caller) -> AsyncIterator[Sequence[Record]]:
        """All records by id, in chunks, however many there are."""
        after: str | None = None
        while chunk := await self.page(caller, after=after, limit=_LIST_CHUNK):
            yield chunk
            after = chunk[-1].id

    async def create(self, caller: Caller, fields: Mapping[str, object]) -> Record:
        """The new record.

        Raises:
            InvalidFields: lists every invalid field.
            Conflict: the id, or the normalized prefix, is taken in this organization.
        """
        draft = await self.draft(caller, fields)
        record = draft.record(created_at=self._clock(), created_by=caller.user_id)
        sealed = await self._vault.seal(caller.organization, draft.id, draft.creds)
        event = self._event(caller, AuditAction.CREATE_REGISTRY, draft.id, fields)
        return await self._creations.create(caller.organization, NewRecord(record, sealed, event))

    async def draft(self, caller: Caller, fields: Mapping[str, object]) -> Draft:
        """What :meth:`create` would store; raises what can be known without storing it."""
        draft = drafts.parse(fields)
        await self._refuse_builtin_twin(caller, draft)
        return draft

    async def draft_patch(
        self,
        caller: Caller,
        record_id: str,
        fields: Mapping[str, object],
        expected: frozenset[str] | None,
    ) -> Draft:
        """What :meth:`patch` would store; raises what can be known without storing it."""
        return (await self._change(caller, record_id, fields, expected)).draft

    async def patch(
        self,
        caller: Caller,
        record_id: str,
        fields: Mapping[str, object],
        expected: frozenset[str] | None,
    ) -> Record:
        """The record after ``fields`` were laid over it.

        ``expected``: the versions of an If-Match header, or None without one.

        Raises:
            InvalidFields: the result would not be valid as a whole, or a caller who may not read
                the stored credential would send it to another host.
            NotFound, BuiltinRecord, Conflict: as their names say.
            PreconditionFailed: the record has another version than expected.
        """
        for _ in range(_ATTEMPTS):
            change = await self._change(caller, record_id, fields, expected)
            stored, draft = change.stored, change.draft
            sealed = stored.sealed
            if "creds" in fields:
                sealed = await self._vault.seal(caller.organization, record_id, draft.creds)
            changed = draft.record(
                created_at=stored.record.created_at, created_by=stored.record.created_by
            )
            ending = await self._ending(caller.organization, stored.record, change.creds)
            replaced = await self._records.replace(
                caller.organization,
                changed,
                sealed,
                if_version=stored.record.version,
                now=self._clock(),
                ends_identity=None if ending is None else ending.identity,
                audit=self._recording(caller, AuditAction.UPDATE_REGISTRY, record_id, fields),
            )
            if replaced is not None:
                await self._snapshots.refresh(caller.organization)
                self._issuer.end(ending)
                return replaced
        raise Conflict(
            f"The registry record '{record_id}' is being changed by others at the same time. "
            "Try again.",
            code="concurrent_change",
        )

    async def delete(self, caller: Caller, record_id: str, expected: frozenset[str] | None) -> None:
        """Remove the record, its credentials and its secret references, for good.

        Raises: as :meth:`patch`.
        """
        while True:
            stored = await self._records.get(caller.organization, record_id)
            if stored is None:
                raise await self._refusal(caller, record_id)
            _require_version(stored.record, expected)
            ending = await self._ending(
                caller.organization, stored.record, await self._creds_if_they_open(caller, stored)
            )
            if await self._records.delete(
                caller.organization,
                record_id,
                if_version=stored.record.version,
                now=self._clock(),
                ends_identity=None if ending is None else ending.identity,
                audit=self._recording(caller, AuditAction.DELETE_REGISTRY, record_id, ()),
            ):
                await self._snapshots.refresh(caller.organization)
                self._issuer.end(ending)
                return

    async def _change(
        self,
        caller: Caller,
        record_id: str,
        fields: Mapping[str, object],
        expected: frozenset[str] | None,
    ) -> _Change:
        stored = await self._records.get(caller.organization, record_id)
        if stored is None:
            raise await self._refusal(caller, record_id)
        _require_version(stored.record, expected)
        creds = await self._vault.open(caller.organization, record_id, stored.sealed)
        draft = drafts.patch(stored.record, creds, fields)
        if "creds" not in fields and creds is not None:
            _require_same_place(caller, stored.record, draft)
        await self._refuse_builtin_twin(caller, draft)
        return _Change(stored, creds, draft)

    def _recording(
        self, caller: Caller, action: AuditAction, record_id: str, fields: Iterable[str]
    ) -> Recording:
        return self._audit.recording([self._event(caller, action, record_id, fields)])

    def _event(
        self, caller: Caller, action: AuditAction, record_id: str, fields: Iterable[str]
    ) -> Event:
        return self._audit.change_event(
            caller.principal,
            caller.organization,
            action,
            registry_id=record_id,
            details=given_fields(fields),
        )

    async def _creds_if_they_open(self, caller: Caller, stored: StoredRecord) -> Credential | None:
        try:
            return await self._vault.open(caller.organization, stored.record.id, stored.sealed)
        except SealBroken:
            # A damaged record can still be deleted; what was issued from it ends by itself.
            return None

    async def _ending(
        self, organization: str, record: Record, creds: Credential | None
    ) -> Ending | None:
        if not TYPE_RULES[record.type].exchanged:
            return None
        return await self._issuer.ending(organization, record, creds)

    async def _with_status(self, caller: Caller, records: Sequence[Record]) -> Sequence[Record]:
        if not records:
            return records
        statuses = await self._checks.of(caller.organization, [record.id for record in records])
        return [
            dataclasses.replace(
                record,
                status=statuses.get((record.id, record.version)),
                secrets=access.visible_secrets(caller, record),
            )
            for record in records
        ]

    async def _builtins(self, caller: Caller, wanted: RecordFilter) -> Sequence[Record]:
        snapshot = await self._snapshots.about(caller.organization)
        found = await self._with_status(caller, list(snapshot.builtins.values()))
        return [record for record in found if wanted.takes(record)]

    async def _builtin(self, caller: Caller, record_id: str) -> Record | None:
        snapshot = await self._snapshots.about(caller.organization)
        return snapshot.builtins.get(record_id)

    async def _refusal(self, caller: Caller, record_id: str) -> Exception:
        if await self._builtin(caller, record_id) is not None:
            return refuse_change(record_id)
        return record_not_found(record_id)

    async def _refuse_builtin_twin(self, caller: Caller, draft: Draft) -> None:
        snapshot = await self._snapshots.about(caller.organization)
        for builtin in snapshot.builtins.values():
            if builtin.id == draft.id:
                raise Conflict(
                    f"The id '{draft.id}' is taken by a built-in registry record.",
                    code="registry_id_taken",
                    details={"field": "id", "registry_id": builtin.id},
                )
            if builtin.prefix == draft.prefix:
                raise Conflict(
                    f"The registry '{draft.prefix}' already has the built-in record "
                    f"'{builtin.id}'.",
                    code="registry_taken",
                    details={"field": "registry", "registry_id": builtin.id},
                )


def record_not_found(record_id: str) -> NotFound:
    return NotFound(
        f"There is no registry record '{record_id[:100]}' in this organization.",
        code="registry_not_found",
    )


def _require_same_place(caller: Caller, record: Record, draft: Draft) -> None:
    """Who may not read a credential may not have it sent to a place of their choice either."""
    if access.may(caller, Action.READ_CREDENTIALS):
        return
    problems = []
    expected = "the credential again in 'creds': your role may not send a stored one elsewhere"
    if record.prefix.domain != draft.prefix.domain:
        problems.append(FieldProblem("registry", "moves to another host", expected))
    if record.options != draft.options:
        problems.append(FieldProblem("options", "change where the credential goes", expected))
    elif _is_plain(draft.registry) and not _is_plain(record.registry):
        problems.append(FieldProblem("registry", "gives up TLS", expected))
    if record.type is not draft.type:
        problems.append(FieldProblem("type", "changes what the credential is used for", expected))
    if problems:
        raise InvalidFields(problems)


def _is_plain(registry: str) -> bool:
    return registry.lower().startswith("http:")


def _require_version(record: Record, expected: frozenset[str] | None) -> None:
    if expected is not None and str(record.version) not in expected:
        raise PreconditionFailed(
            f"The registry record '{record.id}' was changed since you read it. "
            "Read it again and repeat the change.",
            details={"registry_id": record.id},
        )
