"""When a request may be sent again, and after how long."""

from __future__ import annotations

from pullpass.client.errors import ClientError, ConnectionFailed, Unavailable
from pullpass.client.wire import Request

MAX_TRIES = 3
LONGEST_DELAY = 10.0
_FIRST_DELAY = 0.2


def delay(request: Request, error: ClientError, tries: int, *, jitter: float) -> float | None:
    """Seconds to wait before the next try, or None where the error is final.

    ``tries`` counts those made; ``jitter`` is from 0 to 1 and spreads the clients of a server
    that comes back. A time-out is final: the server may be busy with the request still, and
    whoever asked has waited long enough. So is a server that asks for more than
    ``LONGEST_DELAY``.
    """
    if not request.repeatable or tries >= MAX_TRIES:
        return None
    if isinstance(error, ConnectionFailed):
        asked = None
        if error.timed_out:
            return None
    elif isinstance(error, Unavailable):
        asked = error.retry_after
    else:
        return None
    if asked is not None:
        return asked + jitter * _FIRST_DELAY if asked <= LONGEST_DELAY else None
    return _FIRST_DELAY * 2.0 ** (tries - 1) * (0.5 + jitter)
