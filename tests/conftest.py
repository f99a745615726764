"""What the whole test run needs of its process."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # A shell starts a job behind `&` with SIGINT ignored, and every child inherits that: servers
    # and commands under test would not hear Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
