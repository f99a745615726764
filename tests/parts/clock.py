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
