"""All rows of a query at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import LargeBinary, Select, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def all_rows(
    connection: AsyncConnection, query: Select[*tuple[Any, ...]]
) -> Sequence[Sequence[Any]]:
    """The values of each row that ``query`` gives, in any order. Truth values may be 0 and 1, and
    what else has a type of its own comes as it is in the database.

    For many rows, and where others keep the process busy: SQLite's driver, in its thread, gives
    the interpreter's lock away for each row and may wait 5 ms for it to come back.
    https://docs.python.org/3/library/sys.html#sys.setswitchinterval
    """
    if connection.dialect.name != "sqlite":
        return (await connection.execute(query)).all()
    rows = query.subquery()
    binary = [isinstance(column.type, LargeBinary) for column in rows.c]
    cells = [
        case((column.is_not(None), func.hex(column))) if is_binary else column
        for column, is_binary in zip(rows.c, binary, strict=True)
    ]
    as_one = select(func.json_group_array(func.json_array(*cells)))
    found: list[list[Any]] = json.loads((await connection.execute(as_one)).scalar_one())
    for place in [number for number, is_binary in enumerate(binary) if is_binary]:
        for row in found:
            if row[place] is not None:
                row[place] = bytes.fromhex(row[place])
    return found
