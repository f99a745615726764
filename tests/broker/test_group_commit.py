"""Whoever appends waits for the disk, and shares the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pullpass.broker.group_commit import GroupCommit
from pullpass.domain.errors import StoreUnavailable, Unavailable


class Disk:
    """Takes batches; each waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.failure: Exception | None = None

    async def write(self, batch: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(batch))
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return [-item for item in batch]


def overload() -> Unavailable:
    return Unavailable("Too many.", code="too_many")


async def started(commit: GroupCommit[int, int], *items: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(commit.append(item)) for item in items]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_write_is_written_together() -> None:
    disk = Disk()
    commit = GroupCommit(disk.write, overload)
    first = await started(commit, 1)
    rest = await started(commit, 2, 3, 4)
    assert disk.batches == [[1]]
    assert not any(task.done() for task in first + rest)
    disk.may_end.set()
    assert await asyncio.gather(*first, *rest) == [-1, -2, -3, -4]
    assert disk.batches == [[1], [2, 3, 4]]


async def test_a_failure_reaches_all_of_its_batch_and_nobody_else() -> None:
    disk = Disk()
    commit = GroupCommit(disk.write, overload)
    first = await started(commit, 1)
    disk.failure = StoreUnavailable("The disk is full.")
    rest = await started(commit, 2, 3)
    disk.may_end.set()
    failed = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [type(each) for each in failed] == [StoreUnavailable] * 3
    disk.failure = None
    await commit.append(4)
    assert disk.batches[-1] == [4]


async def test_who_gives_up_holds_nobody_back() -> None:
    disk = Disk()
    commit = GroupCommit(disk.write, overload)
    first = await started(commit, 1)
    rest = await started(commit, 2, 3)
    rest[0].cancel()
    disk.may_end.set()
    await asyncio.gather(*first, rest[1])
    assert rest[0].cancelled()
    # It had been taken on, so it is written all the same.
    assert disk.batches == [[1], [2, 3]]


async def test_there_is_an_end_to_who_may_wait() -> None:
    disk = Disk()
    commit = GroupCommit(disk.write, overload)
    tasks = await started(commit, 0)
    tasks += await started(commit, *range(10_000))
    with pytest.raises(Unavailable) as refused:
        await commit.append(0)
    assert refused.value.code == "too_many"
    disk.may_end.set()
    await asyncio.gather(*tasks)


async def test_closing_waits_for_what_is_under_way() -> None:
    disk = Disk()
    commit = GroupCommit(disk.write, overload)
    await commit.close()
    tasks = await started(commit, 1, 2)
    closing = asyncio.create_task(commit.close())
    disk.may_end.set()
    await closing
    assert all(task.done() for task in tasks)
