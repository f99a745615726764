"""Templates to HTML. Everything that they show is escaped."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import jinja2
from markupsafe import Markup

from pullpass import __version__
from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.record import health_of
from pullpass.web.assets import Assets
from pullpass.web.kinds import kind_of

_TEMPLATES = Path(__file__).parent / "templates"
_UNITS = (
    (timedelta(days=365), "year"),
    (timedelta(days=30), "month"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)


class Renderer:
    def __init__(self, assets: Assets) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            asset=assets.url,
            version=__version__,
            Action=Action,
            kind_of=kind_of,
            health_of=health_of,
        )
        self._environment.filters.update(moment=moment, ago=relative, duration=duration)

    def render(self, template: str, **values: object) -> str:
        return self._environment.get_template(template).render(values)


def moment(at: datetime) -> Markup:
    """A time as an element that the page's script turns into the viewer's zone."""
    return _element(at, "exact", f"{at:%Y-%m-%d %H:%M} UTC")


def relative(at: datetime, now: datetime) -> Markup:
    """A time by its distance from ``now``, like "3 hours ago", the exact one on hover."""
    length = _length(at - now)
    if at <= now:
        return _element(at, "relative", f"{length} ago" if length else "just now")
    return _element(at, "relative", f"in {length}" if length else "in a moment")


def duration(since: datetime, now: datetime) -> Markup:
    """How long something has been so at ``now``, like "3 hours"; the beginning on hover."""
    return _element(since, "duration", _length(now - since) or "a moment")


def _element(at: datetime, show: str, text: str) -> Markup:
    return Markup('<time datetime="{0}" title="{0}" data-show="{1}">{2}</time>').format(
        timestamp.render(at), show, text
    )


def _length(difference: timedelta) -> str:
    """A distance in the largest unit of which there is at least one; empty below a minute."""
    for unit, name in _UNITS:
        if abs(difference) >= unit:
            count = abs(difference) // unit
            return f"{count} {name}" + ("s" if count > 1 else "")
    return ""
