"""Health over time: what the checks of a record have come to, as a chart and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pullpass.domain.probe import CheckRun

# The chart's own units; it is stretched to the width that there is.
WIDTH = 1000
_NARROWEST = 6
# The shortest that holds all that is known, else the longest.
_SPANS = (timedelta(hours=1), *(timedelta(days=days) for days in (1, 7, 30, 90)))


@dataclass(frozen=True, slots=True)
class Bar:
    """A run of checks that came to the same, in the chart's units."""

    x: int
    width: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """``runs`` are all that are known, newest first; ``bars`` those since ``began_at``."""

    began_at: datetime
    bars: Sequence[Bar]
    runs: Sequence[CheckRun]

    @property
    def checks(self) -> int:
        return sum(run.checks for run in self.runs)

    @property
    def failed(self) -> int:
        return sum(run.checks for run in self.runs if not run.ok)


def chart_of(runs: Sequence[CheckRun], now: datetime) -> Chart | None:
    """The chart of ``runs`` (oldest first) up to ``now``; None where there was no check."""
    if not runs:
        return None
    known = now - runs[0].began_at
    span = next((span for span in _SPANS if known <= span), _SPANS[-1])
    began_at = now - span
    bars = [_bar(run, began_at, span) for run in runs if run.ended_at > began_at]
    return Chart(began_at, bars, runs[::-1])


def _bar(run: CheckRun, began_at: datetime, span: timedelta) -> Bar:
    """As wide as the time between the first and the last check, and never too narrow to see."""
    left = max(0.0, (run.began_at - began_at) / span) * WIDTH
    right = min(1.0, (run.ended_at - began_at) / span) * WIDTH
    width = max(_NARROWEST, round(right - left))
    return Bar(min(round(left), WIDTH - width), width, run.ok)
