"""Files that hold a token, which whoever put them there replaces before it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

_LONGEST = 64 * 1024


async def read_token_file(path: Path) -> str:
    """What is in the file, without white space around it, up to 64 KiB.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it holds no text.
    """
    return await asyncio.to_thread(_read, path)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST).decode().strip()
