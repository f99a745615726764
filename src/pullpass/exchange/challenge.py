"""What a registry asks for: the challenges of `WWW-Authenticate` (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's word for a word
# One element of the comma-separated list: a scheme, a parameter, or a scheme and its first one.
# Spaces that were taken are not given back (`++`), and no two alternatives can take the same
# characters twice over, so that matching is linear.
_ELEMENT = re.compile(
    rf"""
    (?:(?P<scheme>{_TOKEN}) (?:[ ]++|(?=[ \t]*(?:,|$))))?
    (?:
        (?P<name>{_TOKEN}) [ \t]*=[ \t]* (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN}))
        |(?P<token68>[A-Za-z0-9._~+/-]+=*)
    )?
    [ \t]*(?=,|$)
    """,
    re.VERBOSE,
)
_SEPARATORS = re.compile(r"[ \t,]+")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` and the names of the parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of all `WWW-Authenticate` header fields, in order.

    What stands after a scheme as one bare word (`token68`: Negotiate has it) is left out.

    Raises:
        ValueError: not of the grammar, or a parameter twice in one challenge.
    """
    return [challenge for value in values for challenge in _challenges(value)]


def _challenges(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = _skip_separators(text, 0)
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None or element.end() == at:
            raise ValueError(f"malformed at character {at}")
        scheme, name, quoted, plain, token68 = element.groups()
        if scheme is not None:
            parameters = {}
            found.append(Challenge(scheme.lower(), parameters))
        elif token68 is not None or not found:
            raise ValueError(f"no authentication scheme at character {at}")
        if name is not None:
            if name.lower() in parameters:
                raise ValueError(f"a parameter twice at character {at}")
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters[name.lower()] = value
        at = _skip_separators(text, element.end())
    return found


def _skip_separators(text: str, at: int) -> int:
    separators = _SEPARATORS.match(text, at)
    return separators.end() if separators else at
