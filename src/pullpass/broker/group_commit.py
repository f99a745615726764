"""Many durable writes for the price of one: whoever comes while one is under way shares the next.

A commit waits for the disk. While it does, everything that arrives is collected, and then written
in one transaction. Nobody waits for a timer, and each waits for its own write only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from pullpass.domain.errors import Unavailable

T = TypeVar("T")

_MOST_WAITING = 10_000
_MOST_AT_ONCE = 1_000


class GroupCommit(Generic[T]):
    """``write`` puts a batch on disk, whole or not at all."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, item: T) -> None:
        """Return when ``item`` is on disk.

        Raises:
            Unavailable: too many are waiting (`audit_overloaded`).
            Whatever ``write`` raised for the batch that ``item`` was in.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise Unavailable(
                "The audit log cannot be written as fast as credentials are asked for. Try again.",
                code="audit_overloaded",
            )
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        await written

    async def close(self) -> None:
        """Return when all that was appended is written, or has failed."""
        if self._writer is not None:
            await self._writer

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_some()
        finally:
            self._writer = None

    async def _write_some(self) -> None:
        count = min(len(self._waiting), _MOST_AT_ONCE)
        batch = [self._waiting.popleft() for _ in range(count)]
        failure: BaseException | None = None
        try:
            await self._write([item for item, _ in batch])
        except Exception as error:
            # Whatever it was, those who wait get to know it, and hand nothing out.
            failure = error
        except BaseException:
            failure = asyncio.CancelledError()
            raise
        finally:
            for _, written in batch:
                if written.done():
                    continue
                if failure is None:
                    written.set_result(None)
                else:
                    written.set_exception(failure)
