"""Patterns for names that have parts, such as `acme/app` or `repo:acme/app:ref:refs/heads/main`.

`*` stands for any characters within one part, `**` for any characters at all; everything else
stands for itself, and a pattern covers the whole text. GitHub's filter patterns draw the same line
at `/` (https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax,
"Filter pattern cheat sheet"); subjects of identity pieces have parts between colons too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

_BETWEEN_PARTS = "/:"
_PIECE = re.compile(r"\*\*|\*|[^*]", re.DOTALL)
_STARS = re.compile(r"\*{2,}")


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` covers ``text``: one step for each character of the text, whatever they
    are, so that no text can make it slow as it can a regular expression.

    The places in the pattern that the text may have come to are the bits of one number
    (https://doi.org/10.1145/135239.135243, where they are those of the pattern's letters).
    """
    compiled = _compiled(pattern)
    places = compiled.reached(1)
    for letter in text:
        stars = compiled.wide if letter in _BETWEEN_PARTS else compiled.stars
        onward = (places & compiled.letters.get(letter, 0)) << 1 | places & stars
        if not onward:
            return False
        places = compiled.reached(onward)
    return places >> compiled.end == 1


def matches_any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """For each letter, the places where it is expected; the places of all stars, and of those that
    cover what stands between parts; and the place behind the last one.
    """

    letters: Mapping[str, int]
    stars: int
    wide: int
    end: int

    def reached(self, places: int) -> int:
        """``places``, and those behind the stars among them, which may stand for nothing. No star
        follows another.
        """
        return places | (places & self.stars) << 1


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> _Compiled:
    pieces = _PIECE.findall(_STARS.sub("**", pattern))
    letters: dict[str, int] = {}
    stars = wide = 0
    for place, piece in enumerate(pieces):
        if piece[0] != "*":
            letters[piece] = letters.get(piece, 0) | 1 << place
            continue
        stars |= 1 << place
        if piece == "**":
            wide |= 1 << place
    return _Compiled(letters, stars, wide, len(pieces))
