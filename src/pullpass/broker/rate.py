"""How many calls each token may make: a token bucket for each.

Kept in the memory of each process: several replicas allow several times as much. A limit that all
of them share would be a write for each call.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from pullpass.domain.errors import RateLimited

_MOST_TOKENS = 10_000


class RateLimit:
    """``per_second`` calls in the long run (0: as many as come), ``burst`` at once.

    ``clock`` is in seconds and never goes back (time.monotonic).
    """

    def __init__(self, per_second: int, burst: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = max(burst, 1)
        self._clock = clock
        # For each token: what was left at which time.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def require(self, token_id: str) -> None:
        """Count a call of the token.

        Raises:
            RateLimited: it has none left; a refused call costs nothing.
        """
        if not self._per_second:
            return
        now = self._clock()
        left, since = self._left.get(token_id, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        if left < 1:
            wait = max(1, math.ceil((1 - left) / self._per_second))
            raise RateLimited(
                f"This token makes more than {self._per_second} calls a second. "
                f"Try again in {wait} s.",
                retry_after=wait,
            )
        self._left[token_id] = (left - 1, now)
        self._left.move_to_end(token_id)
        # The one that was not used for longest has most likely all of its calls again.
        if len(self._left) > _MOST_TOKENS:
            self._left.popitem(last=False)
