"""How long what records hand out lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.issued_values import identity_of
from pullpass.broker.vault import Vault
from pullpass.domain.access import Caller
from pullpass.domain.credential import Credential
from pullpass.domain.record import Record
from pullpass.domain.record_types import TYPE_RULES
from pullpass.sealing.keyring import SealBroken
from pullpass.store.issued import IssuedState, IssuedStore
from pullpass.store.records import RecordStore, StoredRecord


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Of the credential that is handed out: its end, and when the next one is asked for; of a
    stored one the end that was written down, and no renewal. ``problem``: the last exchange
    failed, and nobody asks again before ``retry_at``.
    """

    ends_at: datetime | None
    renews_at: datetime | None = None
    problem: str | None = None
    retry_at: datetime | None = None


class Lifetimes:
    """Opens credentials to know what was issued from them; nothing of them comes out."""

    def __init__(
        self, records: RecordStore, builtins: BuiltinRecords, issued: IssuedStore, vault: Vault
    ) -> None:
        self._records = records
        self._builtins = builtins
        self._issued = issued
        self._vault = vault

    async def of(self, caller: Caller, records: Sequence[Record]) -> Mapping[str, Lifetime]:
        """By record id, for those of ``records`` of which there is something to say."""
        own = [record.id for record in records if not record.builtin]
        stored = await self._records.many(caller.organization, own)
        found: dict[str, Lifetime] = {}
        identities: dict[str, str] = {}
        for record in records:
            try:
                creds = await self._creds(caller, record, stored.get(record.id))
            except SealBroken:
                continue
            if TYPE_RULES[record.type].exchanged:
                identities[record.id] = identity_of(record, creds)
            elif creds is not None and creds.expires is not None:
                found[record.id] = Lifetime(creds.expires)
        states = await self._issued.states(caller.organization, set(identities.values()))
        for record_id, identity in identities.items():
            if identity in states:
                found[record_id] = _lifetime(states[identity])
        return found

    async def _creds(
        self, caller: Caller, record: Record, stored: StoredRecord | None
    ) -> Credential | None:
        if record.builtin:
            return self._builtins.creds(record.id)
        if stored is None:
            return None
        return await self._vault.open(caller.organization, record.id, stored.sealed)


def _lifetime(states: Sequence[IssuedState]) -> Lifetime:
    """Of several scopes, the credential that ends last and any failure."""
    issued = [state.credential for state in states if state.credential is not None]
    failure = next((state.failure for state in states if state.failure is not None), None)
    last = max(issued, key=lambda credential: credential.expires_at, default=None)
    return Lifetime(
        None if last is None else last.expires_at,
        None if last is None else last.renew_at,
        None if failure is None else failure.message,
        None if failure is None else failure.retry_at,
    )
