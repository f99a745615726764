"""A clock for a server process that is set while it runs (libfaketime)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("faketime is not installed: apt-get install faketime")
    return found[0]


class FakeClock:
    """The true time, but for an offset. Time that is measured, not told (CLOCK_MONOTONIC), stays
    as it is, as where an operator or NTP sets a machine's clock.

    ``env`` is for the processes that it is shown to.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = _library()
        self.set(0)

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # In seconds. To read it at every look at the clock makes a server too slow to be used.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # What it mends is not here, and with it threads wait for seconds.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds_ahead: int) -> None:
        """By so many seconds it is ahead, within a second or two; negative: behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds_ahead:+d}\n")
        new.replace(self._file)
