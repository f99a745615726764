"""Long-lived to short-lived: what every exchanger does, in terms of values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pullpass.domain.credential import Credential
from pullpass.domain.record import Record


@dataclass(frozen=True, slots=True)
class Source:
    """What a credential is issued from. ``creds`` is None for the server's own (ambient)
    identity; ``host`` is the registry host that it is for, in lower case, without any `*`.
    """

    record: Record
    creds: Credential | None
    host: str

    def option(self, name: str) -> str | None:
        return (self.record.options or {}).get(name)


@dataclass(frozen=True, slots=True)
class Issued:
    """A short-lived credential, its ``expires`` by the clock of this server. ``handle`` is what
    :meth:`Exchanger.revoke` needs to end it early, where the upstream can do that.
    """

    credential: Credential
    handle: str | None = field(default=None, repr=False)

    @property
    def expires(self) -> datetime:
        expires = self.credential.expires
        if expires is None:
            raise ValueError("an issued credential has an end")
        return expires


class Exchanger(Protocol):
    """One upstream. Its errors are those of ``pullpass.domain.errors.ExchangeFailed``."""

    def scope(self, host: str) -> str:
        """What of ``host`` a credential is limited to: records with the same identity and the
        same scope share one. Empty where one credential is good for every host.
        """
        ...

    async def exchange(self, source: Source, now: datetime) -> Issued:
        """A new credential. ``now`` is this server's clock.

        Raises:
            ExchangeRejected: the stored credential, or what it asks for, is refused.
            ExchangeThrottled: too many calls; says when to try again where the upstream did.
            ExchangeUnavailable: no usable answer; trying again later may help.
        """
        ...

    async def revoke(self, source: Source, handle: str) -> None:
        """End a credential that was replaced. Where the upstream cannot, nothing happens.

        Raises: as :meth:`exchange`.
        """
        ...
