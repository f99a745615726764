"""Stored credentials as sealed bytes, and back."""

from __future__ import annotations

import json

from pullpass.broker.clock import Clock
from pullpass.domain import timestamp
from pullpass.domain.credential import Credential, Secret
from pullpass.sealing.keyring import Keyring, Place

_FIELD = "creds"


class Vault:
    """Seals a record's long-lived credential for its row, and opens it again."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock

    async def seal(
        self, organization: str, record_id: str, creds: Credential | None
    ) -> bytes | None:
        if creds is None:
            return None
        plain = json.dumps(
            {
                "username": creds.username,
                "password": creds.password.reveal(),
                "expires": creds.expires and timestamp.render(creds.expires),
            }
        )
        place = Place(organization, record_id, _FIELD)
        return await self._keyring.seal(place, plain.encode(), now=self._clock())

    async def open(
        self, organization: str, record_id: str, sealed: bytes | None
    ) -> Credential | None:
        """The credential.

        Raises:
            SealBroken: the row was altered or copied from another one.
        """
        if sealed is None:
            return None
        plain = json.loads(await self._keyring.open(Place(organization, record_id, _FIELD), sealed))
        expires = plain["expires"]
        return Credential(
            plain["username"], Secret(plain["password"]), expires and timestamp.parse(expires)
        )
