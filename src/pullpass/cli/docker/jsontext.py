"""One member of a JSON object, changed in its text: every other byte stays as it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

# https://www.rfc-editor.org/rfc/rfc8259#section-2
_SPACE = re.compile(r"[ \t\n\r]*")
_DEFAULT_INDENT = "\t"


class NotAnObject(Exception):
    """The text is not JSON, or not an object; the message says which, and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class _Member:
    """``start`` is where its name begins, ``value`` and ``end`` where its value does and ends."""

    start: int
    value: int
    end: int


class JsonObject:
    """The text of a JSON object.

    Raises:
        NotAnObject: it is something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            fields: object = json.loads(text)
        except json.JSONDecodeError as error:
            raise NotAnObject(
                f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
            ) from None
        except RecursionError:
            raise NotAnObject("it is not JSON: nested too deeply") from None
        if not isinstance(fields, dict):
            raise NotAnObject("it is JSON, but not an object")
        self.fields: dict[str, object] = fields
        self._open = text.index("{")
        self._members = _members(text, self._open)

    def value_text(self, name: str) -> str | None:
        """The value as it is written; None where there is no such member."""
        member = self._members.get(name)
        return None if member is None else self.text[member.value : member.end]

    def put(self, name: str, value: str) -> str:
        """The text with this value (JSON itself) for the member, which is added at the end."""
        member = self._members.get(name)
        if member is not None:
            return self.text[: member.value] + value + self.text[member.end :]
        added = f"{json.dumps(name)}: {value}"
        if self._members:
            end = max(each.end for each in self._members.values())
            return f"{self.text[:end]},{self._line or ' '}{added}{self.text[end:]}"
        rest = self.text[self._open + 1 :].lstrip()
        return f"{self.text[: self._open + 1]}{self._line}{added}\n{rest}"

    def drop(self, name: str) -> str:
        """The text without the member, and without a comma too many."""
        member = self._members[name]
        before = [each.end for each in self._members.values() if each.end < member.start]
        after = [each.start for each in self._members.values() if each.start > member.end]
        if before:
            return self.text[: max(before)] + self.text[member.end :]
        if after:
            return self.text[: member.start] + self.text[min(after) :]
        rest = self.text[member.end :].lstrip()
        return self.text[: self._open + 1] + rest

    def render(self, value: object) -> str:
        """A value of a member, written as the text is: in lines with its indentation, or in one."""
        if not self._line:
            return json.dumps(value, ensure_ascii=False)
        written = json.dumps(value, indent=self._indent, ensure_ascii=False)
        return written.replace("\n", self._line)

    @property
    def _indent(self) -> str:
        found = re.match(r"\{\r?\n([ \t]+)", self.text[self._open :])
        return found[1] if found else _DEFAULT_INDENT

    @property
    def _line(self) -> str:
        """What stands before a member: the end of a line and the indentation, or nothing."""
        if self._members and "\n" not in self.text:
            return ""
        newline = "\r\n" if "\r\n" in self.text else "\n"
        return newline + self._indent


def _members(text: str, opening: int) -> dict[str, _Member]:
    decoder = json.JSONDecoder()
    members: dict[str, _Member] = {}
    at = _after_space(text, opening + 1)
    while text[at] != "}":
        start = at
        name, at = decoder.raw_decode(text, start)
        value = _after_space(text, _after_space(text, at) + 1)
        _, end = decoder.raw_decode(text, value)
        members[name] = _Member(start, value, end)
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return members


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
