"""Backups as files: `pullpass backup` and `pullpass restore`."""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pullpass.broker.clock import utc_now
from pullpass.domain.errors import InvalidInput
from pullpass.server.settings import Settings
from pullpass.server.startup import existing, naming_the_file, prepare
from pullpass.store import backup
from pullpass.store.backup import BackupDamaged
from pullpass.store.engine import Database


@dataclass(frozen=True, slots=True)
class Restored:
    """``rows`` by table; ``opens``: whether the master key that is here is the one."""

    rows: Mapping[str, int]
    opens: bool


class BackupFile(InvalidInput):
    """The file of a backup cannot be written or read."""

    default_code = "backup_file"


async def save(settings: Settings, path: Path) -> int:
    """Write a backup to ``path`` (mode 0600); its size in bytes. Servers may go on meanwhile.

    Raises:
        BackupFile: the file is there already, or cannot be written. None is left half-written.
        NoDatabase: there is nothing to back up.
        Whatever :func:`pullpass.store.backup.dump` raises.
    """
    with naming_the_file(settings):
        database = await existing(settings)
        try:
            with _new_file(path) as packed:
                async for line in backup.dump(database, utc_now()):
                    packed.write(line)
        finally:
            await database.close()
    return _size(path)


async def restore(settings: Settings, path: Path) -> Restored:
    """Fill the empty database of ``settings`` from the backup at ``path``.

    Raises:
        BackupFile: the file cannot be read.
        Whatever :func:`pullpass.store.backup.load` raises.
    """
    with naming_the_file(settings):
        database = await Database.open(settings.database)
        try:
            rows = await backup.load(database, _lines(path))
        finally:
            await database.close()
    in_a_file = settings.master_key is None and settings.master_key_uri is None
    if in_a_file and not settings.master_key_file.exists():
        return Restored(rows, opens=False)
    prepared = await prepare(settings)
    await prepared.database.close()
    return Restored(rows, opens=True)


@contextmanager
def _new_file(path: Path) -> Iterator[gzip.GzipFile]:
    """A file that has its name only when all of it is on disk."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6) as packed:
                yield packed
            raw.flush()
            os.fsync(raw.fileno())
        # Not over a file that came meanwhile.
        os.link(fresh, path)
    except FileExistsError:
        raise BackupFile(f"The file {path} is there already. Nothing was written.") from None
    except OSError as error:
        raise BackupFile(f"The backup {path} cannot be written: {error.strerror}.") from None
    finally:
        fresh.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise BackupDamaged(f"{path} is no backup of Pullpass, or was cut off.") from None
    except OSError as error:
        raise BackupFile(f"The backup {path} cannot be read: {error.strerror}.") from None
