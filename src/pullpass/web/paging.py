"""Lists of which a page shows a part: the one of that number, or those of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pullpass.web.visit import Visit

_Item = TypeVar("_Item")
_LONGEST_NUMBER = 6


@dataclass(frozen=True, slots=True)
class Tab:
    """One of several kinds of item to choose from: ``count`` have it, ``query`` leads to them. It
    ``is_bad`` to be of that kind.
    """

    label: str
    count: int
    query: str
    is_chosen: bool
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Part(Generic[_Item]):
    """``items`` are those from number ``first`` on (counted from 1), of ``total``. ``previous``
    and ``next`` are the numbers of the parts beside it, None where there is none.
    """

    items: Sequence[_Item]
    first: int
    total: int
    previous: int | None
    next: int | None


def part_of(items: Sequence[_Item], visit: Visit, parameter: str, size: int) -> Part[_Item]:
    """The part that the query parameter names; the last where it is beyond, the first where it
    is no number.
    """
    last = max(1, -(-len(items) // size))
    given = visit.query(parameter)[:_LONGEST_NUMBER]
    number = int(given) if given.isascii() and given.isdecimal() else 1
    number = min(max(number, 1), last)
    begin = (number - 1) * size
    return Part(
        items[begin : begin + size],
        begin + 1,
        len(items),
        number - 1 if number > 1 else None,
        number + 1 if number < last else None,
    )
