"""An edit that came too late: what somebody else stored meanwhile, beside what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that somebody else changed meanwhile."""

    label: str
    theirs: str
    yours: str


def differences(
    theirs: Mapping[str, str], yours: Mapping[str, str], labels: Mapping[str, str]
) -> list[Difference]:
    """The fields of ``labels`` that are stored as ``theirs`` and were typed otherwise."""
    return [
        Difference(label, before, now)
        for name, label in labels.items()
        if (before := theirs.get(name, "").strip()) != (now := yours.get(name, "").strip())
    ]
