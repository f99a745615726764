"""When a short-lived credential is renewed, how long it may still be handed out, and when an
upstream that failed is asked again. Pure: times in, times out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from pullpass.domain.errors import ExchangeFailed, ExchangeRejected, ExchangeThrottled
from pullpass.store.issued import Failure

_Backoff = tuple[timedelta, timedelta]

# First and longest wait by kind of failure. A refused credential stays refused until somebody
# changes the record, so it is asked least; an outage is watched for its end.
_REJECTED: _Backoff = (timedelta(seconds=30), timedelta(hours=1))
_THROTTLED: _Backoff = (timedelta(seconds=2), timedelta(minutes=15))
_UNAVAILABLE: _Backoff = (timedelta(seconds=1), timedelta(minutes=1))
_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Schedule:
    """``min_life``: what a credential that is handed out has left at least, where its lifetime
    allows; ``renew_share``: the part of the lifetime after which it is renewed.
    """

    min_life: timedelta = timedelta(minutes=15)
    renew_share: float = 0.66
    renew_jitter: float = 0.1

    def required_life(self, lifetime: timedelta) -> timedelta:
        """What must be left of a credential of this lifetime: at most a quarter of it."""
        return min(self.min_life, lifetime / 4)

    def renew_at(self, issued_at: datetime, expires_at: datetime) -> datetime:
        """When to renew: earlier by chance, so that many do not come due together, and in any
        case before the credential could no longer be handed out.
        """
        lifetime = max(expires_at - issued_at, timedelta())
        share = self.renew_share - random.uniform(0, self.renew_jitter)  # noqa: S311
        latest = expires_at - self.required_life(lifetime)
        return min(issued_at + lifetime * share, latest)

    def failure(self, error: ExchangeFailed, previous: Failure | None, now: datetime) -> Failure:
        """What to remember of a failed attempt: waits double, with jitter, up to their longest;
        a longer wait that the upstream asked for is kept.
        """
        count = 1 if previous is None else previous.count + 1
        first, longest = _backoff(error)
        wait = min(first * 2 ** min(count - 1, 30), longest)
        wait *= 1 + random.uniform(0, _JITTER)  # noqa: S311
        asked = timedelta(seconds=error.retry_after or 0)
        return Failure(count, error.code, error.message, now + max(wait, asked))


def _backoff(error: ExchangeFailed) -> _Backoff:
    if isinstance(error, ExchangeRejected):
        return _REJECTED
    if isinstance(error, ExchangeThrottled):
        return _THROTTLED
    return _UNAVAILABLE
