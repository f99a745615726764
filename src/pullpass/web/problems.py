"""What is wrong with a form, in words, by the field where it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pullpass.domain.errors import FieldProblem, InvalidFields, PullpassError


@dataclass(frozen=True, slots=True)
class Problems:
    """By field, and in general."""

    fields: Mapping[str, str]
    general: str | None = None


NO_PROBLEMS = Problems({})


def problems_of(error: PullpassError) -> Problems:
    """A refusal of a form; a conflict stands at its field where it has one."""
    if isinstance(error, InvalidFields):
        return Problems({each.field: shown(each) for each in error.problems})
    at = error.details.get("field")
    return Problems({str(at): error.message}) if at else Problems({}, error.message)


def shown(problem: FieldProblem) -> str:
    """A problem as it is said beside its field."""
    said = problem.problem
    # Some begin with the value: "'a b' has a space".
    sentence = said if said.startswith(("'", '"')) else f"This {said}"
    return f"{sentence}. Expected: {problem.expected}."
