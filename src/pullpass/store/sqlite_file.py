"""The SQLite file: how a connection to it begins, and whether it is still the one that is open."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

FILES = ("", "-wal", "-shm")
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # In WAL mode, NORMAL could lose the last acknowledged writes on a power cut.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # Opens the log and its index now, so that all three files are known from here on.
    "SELECT count(*) FROM sqlite_schema",
)

# Device and inode of the database, its write-ahead log and the log's index.
Identity = tuple[tuple[int, int] | None, ...]


class FileReplaced(OSError):
    """The path no longer leads to the files that the connection has open."""

    def __init__(self) -> None:
        super().__init__("the database file was removed or replaced")


def create_file(path: Path) -> None:
    """An empty file (mode 0600) at ``path``, and its directory, where there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # O_EXCL, since closing a file that is there already would drop the POSIX locks that this
    # process holds on it (https://www.sqlite.org/howtocorrupt.html section 2.2).
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def identity(path: Path) -> Identity:
    """What the path leads to now."""
    return tuple(device_and_inode(f"{path}{suffix}") for suffix in FILES)


def device_and_inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
