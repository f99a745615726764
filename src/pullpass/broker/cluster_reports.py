"""Reads the report of an agent, field by field; says everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pullpass.broker.fields import Fields
from pullpass.domain.cluster import ClusterReport, Problem, RegistryReport
from pullpass.domain.errors import FieldProblem, InvalidFields
from pullpass.domain.record import ID_EXPECTED, is_id

MODES = ("needed", "all")
MOST_REGISTRIES = 10_000
MOST_PROBLEMS = 100
MOST_NAMES = 100
LONGEST_NAME = 253
MOST = 2**53 - 1
_SOME = re.compile(".+")
_MODE = re.compile("|".join(MODES))
_COUNT = f"a whole number from 0 to {MOST}"
_REGISTRY = ("id", "secrets", "pending", "failed", "problems", "held_in")
_NAMESPACE = "the name of a namespace, or an empty string"
_NAMES = f"a list of up to {MOST_NAMES} names of namespaces"
_MESSAGE = "a sentence of up to 1000 characters"


def read(body: Mapping[str, object]) -> ClusterReport:
    """The report in ``body``.

    Raises:
        InvalidFields: with up to 20 of its problems.
    """
    problems: list[FieldProblem] = []
    known = ("version", "mode", "revision", "namespaces", "registries")
    fields = Fields(body, known)
    version = fields.text("version", _SOME, "the version of the agent", 100)
    mode = fields.text("mode", _MODE, "one of " + ", ".join(MODES))
    report = ClusterReport(
        version,
        mode,
        _count(body, "revision", "", problems),
        _count(body, "namespaces", "", problems),
        tuple(
            _registry(item, path, problems)
            for item, path in _objects(body, "registries", "", MOST_REGISTRIES, problems)
        ),
    )
    try:
        fields.done()
    except InvalidFields as error:
        problems = [*error.problems, *problems]
    if problems:
        raise InvalidFields(problems[:20])
    return report


def _registry(
    item: Mapping[str, object], path: str, problems: list[FieldProblem]
) -> RegistryReport:
    _refuse_unknown(item, path, _REGISTRY, problems)
    registry_id = item.get("id")
    if not isinstance(registry_id, str) or not is_id(registry_id):
        problem = "is missing" if registry_id is None else f"is {str(registry_id)[:80]!a}"
        problems.append(FieldProblem(f"{path}.id", problem, ID_EXPECTED))
        registry_id = ""
    return RegistryReport(
        registry_id,
        _count(item, "secrets", path, problems),
        _count(item, "pending", path, problems),
        _count(item, "failed", path, problems),
        tuple(
            _problem(each, where, problems)
            for each, where in _objects(item, "problems", path, MOST_PROBLEMS, problems)
        ),
        _names(item, "held_in", path, problems),
    )


def _problem(item: Mapping[str, object], path: str, problems: list[FieldProblem]) -> Problem:
    _refuse_unknown(item, path, ("namespace", "code", "message"), problems)
    return Problem(
        _text(item, "namespace", path, _NAMESPACE, LONGEST_NAME, problems),
        _text(item, "code", path, "a short code", 100, problems),
        _text(item, "message", path, _MESSAGE, 1000, problems),
    )


def _objects(
    body: Mapping[str, object],
    name: str,
    path: str,
    most: int,
    problems: list[FieldProblem],
) -> Iterator[tuple[Mapping[str, object], str]]:
    """Every object of the list ``name`` and where it stands; an absent list is empty."""
    value = body.get(name)
    if value is None:
        return
    where = _at(path, name)
    if not isinstance(value, list) or len(value) > most:
        expected = f"a list of up to {most} objects"
        problems.append(FieldProblem(where, "is not such a list", expected))
        return
    for index, item in enumerate(value):
        if isinstance(item, dict):
            yield item, f"{where}.{index}"
        else:
            problems.append(FieldProblem(f"{where}.{index}", "is not an object", "an object"))


def _names(
    body: Mapping[str, object], name: str, path: str, problems: list[FieldProblem]
) -> tuple[str, ...]:
    """The names of namespaces in the list ``name``; an absent list is empty."""
    value = body.get(name)
    if value is None:
        return ()
    if not (
        isinstance(value, list)
        and len(value) <= MOST_NAMES
        and all(isinstance(each, str) and 0 < len(each) <= LONGEST_NAME for each in value)
    ):
        problems.append(FieldProblem(_at(path, name), "is not such a list", _NAMES))
        return ()
    return tuple(value)


def _count(body: Mapping[str, object], name: str, path: str, problems: list[FieldProblem]) -> int:
    value = body.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST:
        return value
    problem = "is missing" if value is None else "is not such a number"
    problems.append(FieldProblem(_at(path, name), problem, _COUNT))
    return 0


def _text(
    body: Mapping[str, object],
    name: str,
    path: str,
    expected: str,
    longest: int,
    problems: list[FieldProblem],
) -> str:
    value = body.get(name)
    if isinstance(value, str) and len(value) <= longest:
        return value
    problem = "is missing" if value is None else "is not such a text"
    problems.append(FieldProblem(_at(path, name), problem, expected))
    return ""


def _refuse_unknown(
    item: Mapping[str, object], path: str, known: tuple[str, ...], problems: list[FieldProblem]
) -> None:
    expected = "one of " + ", ".join(known)
    problems += [
        FieldProblem(_at(path, name[:80]), "is not a known field", expected)
        for name in item
        if name not in known
    ]


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
