from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pullpass.domain.audit import AuditAction
from pullpass.domain.errors import StoreUnavailable
from pullpass.sealing.audit_key import AuditKey
from pullpass.store.audit import AuditStore
from pullpass.store.changes import ChangeFeed, announce
from pullpass.store.engine import Database
from pullpass.store.migrations import migrate
from tests.store.values import NOW, an_event, images


@pytest.fixture
async def database(sqlite_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite:///{sqlite_path}")
    yield opened
    await opened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root: run the tests as root")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


async def write(database: Database, subject: str = "ada") -> int:
    async with database.write() as connection:
        return await announce(connection, "identity", "user", subject, NOW)


async def head(database: Database) -> int:
    return (await ChangeFeed(database).heads(["identity"]))["identity"]


def remove(*paths: Path) -> None:
    for path in paths:
        path.unlink()


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def remount(directory: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", directory], check=True)


def files(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


async def test_locked_by_another_process(database: Database, sqlite_path: Path) -> None:
    assert await write(database) == 1
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await write(database)
    assert await head(database) == 1
    other.execute("ROLLBACK")
    assert await write(database) == 2
    other.close()


async def test_a_lock_that_is_soon_free_is_waited_for(
    database: Database, sqlite_path: Path
) -> None:
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
    assert await write(database) == 1
    other.close()


async def test_moved_away_and_back(database: Database, sqlite_path: Path) -> None:
    assert await write(database) == 1
    away = sqlite_path.parent / "away"
    away.mkdir()
    for file in files(sqlite_path):
        file.rename(away / file.name)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="missing"):
            await write(database)
        with pytest.raises(StoreUnavailable, match="missing"):
            await database.ping()
    assert files(sqlite_path) == []
    for file in away.iterdir():
        file.rename(sqlite_path.parent / file.name)
    assert await head(database) == 1
    assert await write(database) == 2


async def test_entries_of_the_audit_log_find_the_file_again(
    database: Database, sqlite_path: Path
) -> None:
    log = AuditStore(database, AuditKey(b"k" * 32))
    await log.append([an_event(action=AuditAction.CREATE_ORGANIZATION)])
    await log.append([an_event(1)])
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await log.append([an_event(2)])
    other.close()
    await log.append([an_event(3)])
    away = sqlite_path.parent / "away"
    away.mkdir()
    for file in files(sqlite_path):
        file.rename(away / file.name)
    with pytest.raises(StoreUnavailable, match="missing"):
        await log.append([an_event(4)])
    for file in away.iterdir():
        file.rename(sqlite_path.parent / file.name)
    await log.append([an_event(5)])
    assert await images(database) == ["5", "3", "1", "0"]


async def test_replaced_by_a_backup(database: Database, sqlite_path: Path) -> None:
    assert await write(database) == 1
    backup = sqlite_path.parent / "backup"
    source, target = sqlite3.connect(sqlite_path), sqlite3.connect(backup)
    source.backup(target)
    source.close()
    target.close()
    assert await write(database) == 2
    remove(*files(sqlite_path))
    os.replace(backup, sqlite_path)
    assert await head(database) == 1
    assert await write(database) == 2
    with sqlite3.connect(sqlite_path) as reader:
        assert reader.execute("SELECT revision FROM feeds").fetchall() == [(2,)]
    reader.close()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_removed_during_a_write_is_not_acknowledged(
    database: Database, sqlite_path: Path, suffix: str
) -> None:
    async def write_while_removed() -> None:
        async with database.write() as connection:
            await announce(connection, "identity", "user", "ada", NOW)
            remove(Path(f"{sqlite_path}{suffix}"))

    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await write_while_removed()


async def test_every_acknowledged_write_is_found_while_the_file_comes_and_goes(
    database: Database, sqlite_path: Path
) -> None:
    acknowledged: list[int] = []
    stop = False

    async def keep_writing() -> None:
        while not stop:
            try:
                acknowledged.append(await write(database))
            except StoreUnavailable:
                await asyncio.sleep(0.001)

    async def keep_moving() -> None:
        away = sqlite_path.parent / "away"
        away.mkdir()
        for _ in range(40):
            moving = files(sqlite_path)
            for file in moving:
                file.rename(away / file.name)
            await asyncio.sleep(0.005)
            # The database last: who opens it without its log does not see what that holds.
            for file in reversed(moving):
                (away / file.name).rename(file)
            await asyncio.sleep(0.005)

    writers = [asyncio.ensure_future(keep_writing()) for _ in range(3)]
    await keep_moving()
    async with asyncio.timeout(60):
        while not acknowledged:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)
    stop = True
    await asyncio.gather(*writers)
    changes = await ChangeFeed(database).since("identity", 0)
    assert changes is not None
    assert set(acknowledged) <= {change.revision for change in changes}
    assert len(set(acknowledged)) == len(acknowledged)


async def test_replaced_by_an_empty_file(database: Database, sqlite_path: Path) -> None:
    assert await write(database) == 1
    remove(*files(sqlite_path))
    put(sqlite_path, b"")
    with pytest.raises(StoreUnavailable, match="no tables"):
        await write(database)
    await migrate(database)
    assert await write(database) == 1


async def test_replaced_by_something_else(database: Database, sqlite_path: Path) -> None:
    assert await write(database) == 1
    backup = shutil.copy(sqlite_path, sqlite_path.parent / "backup")
    remove(*files(sqlite_path))
    put(sqlite_path, b"This is no database.\n" * 1000)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await write(database)
    remove(sqlite_path)
    os.replace(backup, sqlite_path)
    # The copy was made without the log, in which the first write still stood.
    assert await write(database) == 1


async def test_a_full_disk(sqlite_path: Path, small_disk: Path) -> None:
    path = Path(shutil.copy(sqlite_path, small_disk))
    database = await Database.open(f"sqlite:///{path}")
    assert await write(database) == 1
    ballast = small_disk / "ballast"
    fill(ballast)
    written = 1
    refused = ""
    while not refused:
        try:
            written = await write(database, "x" * 2000)
        except StoreUnavailable as error:
            refused = error.message
    assert "full" in refused
    with pytest.raises(StoreUnavailable):
        await write(database, "x" * 200_000)
    assert await head(database) == written
    remove(ballast)
    assert await write(database) == written + 1
    changes = await ChangeFeed(database).since("identity", 0)
    assert changes is not None
    assert [change.revision for change in changes] == list(range(1, written + 2))
    await database.close()


async def test_a_read_only_file_system(sqlite_path: Path, small_disk: Path) -> None:
    path = Path(shutil.copy(sqlite_path, small_disk))
    database = await Database.open(f"sqlite:///{path}")
    assert await write(database) == 1
    # With a file open for writing a file system cannot become read-only.
    await database.close()
    remount(small_disk, "ro")
    with pytest.raises(StoreUnavailable):
        await write(database)
    remount(small_disk, "rw")
    assert await write(database) == 2
    await database.close()
