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
R = TypeVar("R")

_MOST_WAITING = 10_000
_MOST_AT_ONCE = 1_000


class GroupCommit(Generic[T, R]):
    """``write`` puts a batch on disk, whole or not at all, and says what came of each.

    ``overload``: what is raised where too many are waiting.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        overload: Callable[[], Unavailable],
    ) -> None:
        self._write = write
        self._overload = overload
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being written or waits for it."""
        return self._writer is None

    async def append(self, item: T) -> R:
        """What came of ``item``, when it is on disk. It gets there also if nobody waits any more.

        Raises:
            Unavailable: too many are waiting.
            Whatever ``write`` raised for the batch that ``item`` was in.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise self._overload()
        written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await written

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
        outcomes: Sequence[R] = ()
        failure: BaseException | None = None
        try:
            outcomes = await self._write([item for item, _ in batch])
        except Exception as error:
            # Whatever it was, those who wait get to know it, and answer nothing else.
            failure = error
        except BaseException:
            failure = asyncio.CancelledError()
            raise
        finally:
            for number, (_, written) in enumerate(batch):
                if written.done():
                    continue
                if failure is None:
                    written.set_result(outcomes[number])
                else:
                    written.set_exception(failure)
