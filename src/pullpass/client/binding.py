"""Makes a method of an operation, so that no driver writes one down again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

Method = TypeVar("Method", bound=Callable[..., object])


def described(method: Method, build: Callable[..., object], *, given: int = 0) -> Method:
    """``method`` with the documentation and the signature of the operation that it sends.

    ``given`` parameters at the front are filled in by the driver, and are not shown.
    """
    parameters = list(inspect.signature(build).parameters.values())[given:]
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__doc__ = build.__doc__
    method.__name__ = method.__qualname__ = build.__name__
    method.__signature__ = inspect.Signature([this, *parameters])  # type: ignore[attr-defined]
    return method
