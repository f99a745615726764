"""Reads the fields of a JSON answer, with their types; says which one is not as agreed.

A field that is not known here is ignored: a newer server may send more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


class NotAsAgreed(Exception):
    """The answer lacks a field, or one is of another type. Holds names, never values."""


class Fields:
    """One JSON object; ``path`` is where it stands in the answer."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise NotAsAgreed(f"{path or 'the answer'} is not an object")
        self._fields: Mapping[str, object] = value
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        return self._required(name, self.optional_text(name))

    def optional_text(self, name: str) -> str | None:
        return self._typed(name, str)

    def truth(self, name: str) -> bool:
        return self._required(name, self.optional_truth(name))

    def optional_truth(self, name: str) -> bool | None:
        return self._typed(name, bool)

    def number(self, name: str) -> float:
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise NotAsAgreed(f"{self._at(name)} is not a number")
        return value

    def moment(self, name: str) -> datetime | None:
        """An aware UTC time, or None where the field is absent or null."""
        text = self.optional_text(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise NotAsAgreed(f"{self._at(name)} is not a timestamp") from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def child(self, name: str) -> Fields:
        return Fields(self._fields.get(name), self._at(name))

    def raw(self, name: str) -> Mapping[str, object] | None:
        """The object as it came, for what has no fixed fields."""
        value = self._fields.get(name)
        return None if value is None else Fields(value, self._at(name))._fields

    def whole(self) -> Mapping[str, object]:
        """The object itself as it came."""
        return self._fields

    def each(self, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """Every object of a list; an absent list is empty."""
        value = self._fields.get(name)
        return () if value is None else each(value, read, self._at(name))

    def by_key(self, name: str, read: Callable[[Fields], T]) -> dict[str, T] | None:
        value = self.raw(name)
        if value is None:
            return None
        return {key: read(Fields(item, self._at(f"{name}.{key}"))) for key, item in value.items()}

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; an absent list is empty."""
        value = self._fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise NotAsAgreed(f"{self._at(name)} is not a list of strings")
        return tuple(value)

    def _typed(self, name: str, kind: type[T]) -> T | None:
        value = self._fields.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise NotAsAgreed(f"{self._at(name)} is not of type {kind.__name__}")

    def _required(self, name: str, value: T | None) -> T:
        if value is None:
            raise NotAsAgreed(f"{self._at(name)} is missing")
        return value

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def each(value: object, read: Callable[[Fields], T], path: str = "") -> tuple[T, ...]:
    """``read`` of every object of a JSON list."""
    if not isinstance(value, list):
        raise NotAsAgreed(f"{path or 'the answer'} is not a list")
    return tuple(read(Fields(item, f"{path}[{index}]")) for index, item in enumerate(value))


def decode(body: bytes) -> object:
    """The JSON value of a body.

    Raises:
        NotAsAgreed: it is no JSON.
    """
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAsAgreed("it is not JSON") from None
    return value
