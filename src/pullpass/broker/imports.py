"""Importing credentials in two steps: what would come of them, and then the records."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pullpass.broker.clock import Clock
from pullpass.broker.credentials import CredentialService
from pullpass.broker.records import RecordService
from pullpass.domain import access, timestamp
from pullpass.domain.access import Action, Caller
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import Conflict, FieldProblem, InvalidFields
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.formats.imports.pasted import read_pasted
from pullpass.formats.imports.plan import Outcome, Row, make_plan
from pullpass.formats.imports.reading import Found, NotADockerConfig
from pullpass.sealing.keyring import Keyring, Place, SealBroken

# To read the plan, and to ask a colleague about it.
_LASTS = timedelta(minutes=30)
_FIELD = "import"


class ImportService:
    """Between the two steps nothing is stored: what is to be imported goes to the browser and
    back, sealed with the organization's data key for the session that it belongs to.
    """

    def __init__(
        self, records: RecordService, credentials: CredentialService, keyring: Keyring, clock: Clock
    ) -> None:
        self._records = records
        self._credentials = credentials
        self._keyring = keyring
        self._clock = clock

    async def plan(self, caller: Caller, text: str) -> list[Row]:
        """What comes of each credential in ``text``. Whether a record has the same one is known
        to those only who may read it, and is in the audit log as any other reading.

        Raises:
            InvalidFields: there is nothing in ``text`` that can be read.
        """
        try:
            entries = read_pasted(text, self._clock())
        except NotADockerConfig as error:
            expected = "a Docker config, or the YAML or JSON of a pull secret"
            problem = f"cannot be read: {error}"
            raise InvalidFields([FieldProblem("config", problem, expected)]) from None
        found = {each.registry for each in entries if isinstance(each, Found)}
        # All of them: a new record needs an id that none has.
        records = [record async for chunk in self._records.list(caller) for record in chunk]
        beside = [record for record in records if str(record.prefix) in found]
        stored = await self._stored(caller, beside)

        def compare(record: Record, entry: Found) -> bool | None:
            creds = stored.get(record.id)
            if creds is None:
                return None
            return (creds.username, creds.password) == (entry.username, entry.password)

        return make_plan(entries, records, compare)

    async def _stored(self, caller: Caller, records: Sequence[Record]) -> dict[str, Credential]:
        """The credentials of those records that can be compared; an exchanged one is another."""
        if not access.may(caller, Action.READ_CREDENTIALS):
            return {}
        found = {}
        for record in records:
            if record.type is RecordType.BASIC:
                delivery = await self._credentials.for_record(caller, record.id, None)
                if delivery.credential is not None:
                    found[record.id] = delivery.credential
        return found

    async def seal(self, caller: Caller, session: str, rows: Sequence[Row]) -> str:
        """What :meth:`create` makes records of, for the session to bring back."""
        new = [_dump(row, row.found) for row in rows if row.found is not None]
        ends = timestamp.render(self._clock() + _LASTS)
        plain = json.dumps({"ends": ends, "new": new}).encode()
        place = Place(caller.organization, session, _FIELD)
        sealed = await self._keyring.seal(place, plain, now=self._clock())
        return base64.urlsafe_b64encode(sealed).decode()

    async def create(
        self, caller: Caller, session: str, sealed: str, *, enable_ci: bool
    ) -> list[Row]:
        """Create what was sealed; what came of each. Sent again, they are conflicts.

        Raises:
            InvalidFields: it is too old, or was not sealed for this session.
        """
        place = Place(caller.organization, session, _FIELD)
        try:
            plain = await self._keyring.open(place, base64.urlsafe_b64decode(sealed.encode()))
        except (SealBroken, binascii.Error, ValueError):
            raise _too_old() from None
        parcel = json.loads(plain)
        if timestamp.parse(parcel["ends"]) <= self._clock():
            raise _too_old()
        return [await self._created(caller, _load(item), enable_ci) for item in parcel["new"]]

    async def _created(self, caller: Caller, row: Row, enable_ci: bool) -> Row:
        found = row.found
        if found is None:
            return row
        creds: dict[str, object] = {
            "username": found.username,
            "password": found.password.reveal(),
            "expires": found.expires and timestamp.render(found.expires),
        }
        fields = {
            "id": row.id,
            "registry": found.registry,
            "type": found.type,
            "creds": creds,
            "enable_ci": enable_ci,
        }
        try:
            await self._records.create(caller, fields)
        except Conflict as error:
            return row.now(Outcome.CONFLICT, error.message)
        except InvalidFields as error:
            return row.now(Outcome.FAILED, error.message)
        return row.now(Outcome.CREATED)


def _dump(row: Row, found: Found) -> dict[str, object]:
    return {
        "id": row.id,
        "registry": found.registry,
        "type": found.type,
        "username": found.username,
        "password": found.password.reveal(),
        "expires": found.expires and found.expires.timestamp(),
        "source": row.source,
    }


def _load(item: dict[str, object]) -> Row:
    expires = item["expires"]
    found = Found(
        str(item["registry"]),
        str(item["type"]),
        str(item["username"]),
        Secret(str(item["password"])),
        datetime.fromtimestamp(expires, UTC) if isinstance(expires, (int, float)) else None,
        str(item["source"]),
    )
    record_id = str(item["id"])
    return Row(Outcome.CREATE, found.registry, found.source, record_id, found.type, found=found)


def _too_old() -> InvalidFields:
    problem = "was read too long ago, or in another session"
    return InvalidFields([FieldProblem("config", problem, "it pasted again")])
