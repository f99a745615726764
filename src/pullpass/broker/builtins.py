"""Built-in records: declared in the server's configuration, the same in every organization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pullpass.domain.credential import Credential
from pullpass.domain.draft import Draft
from pullpass.domain.errors import BuiltinRecord
from pullpass.domain.record import Record


class BuiltinRecords:
    """Iterates over the records; their credentials stay in the process's memory."""

    def __init__(self, drafts: Iterable[Draft] = ()) -> None:
        self._records: dict[str, Record] = {}
        self._creds: dict[str, Credential | None] = {}
        for draft in drafts:
            self._records[draft.id] = draft.record(created_at=None, created_by=None, builtin=True)
            self._creds[draft.id] = draft.creds

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def get(self, record_id: str) -> Record | None:
        return self._records.get(record_id)

    def creds(self, record_id: str) -> Credential | None:
        return self._creds[record_id]


def refuse_change(record_id: str) -> BuiltinRecord:
    return BuiltinRecord(
        f"The registry record '{record_id}' is built in: it is declared in the server's "
        "configuration file and can only be changed there.",
        details={"registry_id": record_id},
    )
