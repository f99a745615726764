"""What every part of the wire shares."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from pullpass.domain import timestamp

Timestamp = Annotated[
    str,
    Meta(
        pattern=timestamp.PATTERN,
        description="UTC time in simplified extended ISO format.",
        examples=["2020-06-22T09:37:23.523Z"],
    ),
]


class HealthResponse(Struct, omit_defaults=True):
    """Whether the server works, and what is wrong where it does not."""

    status: str
    problem: str | None = None


_FIELD_PROBLEM = {
    "title": "FieldProblem",
    "description": "One invalid field.",
    "type": "object",
    "required": ["field", "problem", "expected"],
    "properties": {
        "field": {"type": "string", "description": "Its dotted path."},
        "problem": {"type": "string", "description": "What is wrong with it."},
        "expected": {"type": "string", "description": "What would be right."},
    },
}
ErrorDetails = Annotated[
    dict[str, Any],
    Meta(
        title="ErrorDetails",
        description="What a program may want to know of the error.",
        extra_json_schema={
            "properties": {
                "fields": {
                    "type": "array",
                    "description": "Every field that is wrong, where fields are.",
                    "items": _FIELD_PROBLEM,
                }
            }
        },
    ),
]


class ErrorInfoResponse(Struct):
    """An error: a sentence a person can act on, a stable code, details for programs."""

    error: str
    code: str
    details: ErrorDetails | UnsetType = UNSET
