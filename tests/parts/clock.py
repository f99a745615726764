<<<<<<< HEAD
"""A clock that can be set, for programs of which several share one: Debian's faketime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.parts.tools import require_tool


class Clock:
    """``env`` makes a program read it. Its timers go on as the machine's do: a clock that is set is
    no sleep.
    """

    def __init__(self, folder: Path) -> None:
        program = require_tool("faketime", "apt-get install faketime")
        folders = Path(program).resolve().parents[1].glob("lib/*/faketime")
        library = next(each / "libfaketimeMT.so.1" for each in folders)
        self._file = folder / "clock"
        self.move(0)
        self.env: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, seconds: int) -> None:
        """Set it to that much ahead of the machine's."""
        new = self._file.with_suffix(".new")
        new.write_text(f"+{seconds}s")
        os.replace(new, self._file)
=======
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
>>>>>>> 23c3c7e (Let clocks jump, and migrate under servers of the version before)
