"""What a benchmark prints: a table, and the same as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

Figures = Mapping[str, Mapping[str, float]]


def show(result: Figures) -> None:
    """A column for each of ``result``, a row for each figure."""
    columns = list(result)
    widths = [max(12, len(name) + 2) for name in columns]
    print(f"{'':<22}" + "".join(f"{name:>{w}}" for name, w in zip(columns, widths, strict=True)))
    for name in dict.fromkeys(name for figures in result.values() for name in figures):
        cells = [figures.get(name) for figures in result.values()]
        shown = ["-" if cell is None else f"{cell:,}" for cell in cells]
        print(f"{name:<22}" + "".join(f"{c:>{w}}" for c, w in zip(shown, widths, strict=True)))
    print(json.dumps(result))
