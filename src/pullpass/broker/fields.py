"""Reads the fields of a small request body and keeps a list of what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from pullpass.domain.errors import FieldProblem, InvalidFields

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Fields:
    """Each reader gives a usable value also where the field is invalid; ``done`` raises."""

    def __init__(
        self,
        body: Mapping[str, object],
        known: tuple[str, ...] | None = None,
        ignored: tuple[str, ...] = (),
    ) -> None:
        self._body = body
        self._problems: list[FieldProblem] = []
        if known is not None:
            for name in body:
                if name not in known + ignored:
                    expected = "one of " + ", ".join(known)
                    self.problem(name[:80], "is not a known field", expected)

    def problem(self, field: str, problem: str, expected: str) -> None:
        """Note what is wrong with a field, for ``done`` to tell."""
        self._problems.append(FieldProblem(field, problem, expected))

    def done(self) -> None:
        """Raises InvalidFields where any field was invalid."""
        if self._problems:
            raise InvalidFields(self._problems)

    def text(
        self, name: str, shape: re.Pattern[str] | None, expected: str, longest: int = 500
    ) -> str:
        if self._body.get(name) is None:
            self.problem(name, "is missing", expected)
            return ""
        return self.optional_text(name, shape, expected, longest) or ""

    def optional_text(
        self, name: str, shape: re.Pattern[str] | None, expected: str, longest: int = 500
    ) -> str | None:
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.problem(name, "is not a string", expected)
            return None
        if (
            len(value) > longest
            or _CONTROL.search(value)
            or (shape is not None and shape.fullmatch(value) is None)
            or (name == "name" and not value.strip())
        ):
            self.problem(name, f"is {value[:80]!a}", expected)
        return value

    def choice(
        self,
        name: str,
        options: type[StrEnum],
        allowed: tuple[StrEnum, ...],
        default: str | None,
    ) -> str:
        value = self._body.get(name, default)
        expected = "one of " + ", ".join(allowed)
        if value is None:
            self.problem(name, "is missing", expected)
        elif not isinstance(value, str) or value not in allowed:
            self.problem(name, "is not supported", expected)
        else:
            return options(value)
        return allowed[0]
