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
    that comes back. What does more when it is sent twice is sent again only where it cannot have
    been done: without a connection, or after a 429 (RFC 6585 section 4). A time-out is final: the
    server may be busy with the request still, and whoever asked has waited long enough. So is a
    server that asks for more than ``LONGEST_DELAY``.
    """
    if tries >= MAX_TRIES or not (request.repeatable or _undone(error)):
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


def _undone(error: ClientError) -> bool:
    if isinstance(error, ConnectionFailed):
        return error.unsent
    return isinstance(error, Unavailable) and error.status == 429
