"""Patterns for names that have parts, such as `acme/app` or `repo:acme/app:ref:refs/heads/main`.

`*` stands for any characters within one part, `**` for any characters at all; everything else
stands for itself, and a pattern covers the whole text. GitHub's filter patterns draw the same line
at `/` (https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax,
"Filter pattern cheat sheet"); subjects of identity pieces have parts between colons too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_BETWEEN_PARTS = "/:"
_PIECE = re.compile(r"\*\*+|\*|[^*]", re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` covers ``text``: a step for each of its characters at each of the
    text's, whatever they are, so that no text can make it slow as it can a regular expression.
    """
    pieces = _pieces(pattern)
    places = _reached(pieces, {0})
    for letter in text:
        onward = set()
        for place in places:
            if place == len(pieces):
                continue
            piece = pieces[place]
            if piece[0] != "*" and piece == letter:
                onward.add(place + 1)
            elif piece.startswith("**") or (piece == "*" and letter not in _BETWEEN_PARTS):
                onward.add(place)
        if not onward:
            return False
        places = _reached(pieces, onward)
    return len(pieces) in places


def matches_any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


@lru_cache(maxsize=1024)
def _pieces(pattern: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(pattern))


def _reached(pieces: tuple[str, ...], places: set[int]) -> set[int]:
    """``places``, and those behind every star that may stand for nothing."""
    found = set(places)
    for place in places:
        while place < len(pieces) and pieces[place][0] == "*":
            place += 1
            found.add(place)
    return found
