"""The one edge at which failures of drivers and of SQLAlchemy become domain errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from pullpass.domain.errors import StoreUnavailable

LOST = "the connection to it was lost"
NO_TABLES = "it holds no tables of Pullpass; run the migrations"
TIMED_OUT = "it did not answer in time"


@contextmanager
def translated(
    explain: Callable[[Exception], str | None], errors: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn failures that pass by themselves, or that an operator mends, into StoreUnavailable.

    ``errors`` are those of the driver itself. ``explain`` gives the cause of one, as it is or as
    SQLAlchemy wraps it, in plain words, or None for one that says something else (a constraint, a
    mistake in our SQL), which passes unchanged.

    Raises:
        StoreUnavailable: its message holds no address, no path and no parameter.
    """
    failures: tuple[type[Exception], ...] = (exc.DBAPIError, OSError, *errors)
    try:
        yield
    except exc.IntegrityError:
        raise
    except exc.TimeoutError as error:
        raise _unavailable("all connections to it are in use") from error
    except failures as error:
        reason = explain(error)
        if reason is None:
            raise
        raise _unavailable(reason) from error


def _unavailable(reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"The database cannot be used now: {reason}.")
