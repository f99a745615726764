"""Hearing at once that the server is to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals(call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` in the running loop when this process is told to stop.

    granian waits for the answers that have begun before it says anything to the application (ASGI
    lifespan), so that one which waits itself would hold it up. Its own handler goes on hearing of
    the signal: asyncio is told by a file descriptor (signal.set_wakeup_fd), which stays as it is.
    """
    loop = asyncio.get_running_loop()
    before = {each: signal.getsignal(each) for each in _SIGNALS}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)

    for each in _SIGNALS:
        signal.signal(each, heard)
        signal.siginterrupt(each, False)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
