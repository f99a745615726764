"""How the stand-in of the API server changes objects: server-side apply, merge and JSON patches.

Fields are owned as deep as the agent's tests look: each key of a map is a field, and a list is one.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]

# Set by the server, and owned by nobody.
_SERVERS = {
    ("metadata", name) for name in ("name", "namespace", "resourceVersion", "managedFields", "uid")
} | {("apiVersion",), ("kind",)}


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def apply(sent: Object, there: Object, manager: str, *, force: bool) -> Object:
    """``there`` with what ``manager`` sends, and without what it had sent before and now does not.

    Raises:
        Refused: with 409, another manager owns a field with another value, and not ``force``.
    """
    made = copy.deepcopy(there)
    made.setdefault("metadata", {})
    owners = _owners(there)
    mine = owners.get((manager, "Apply"), set())
    new = {path: value for path, value in _leaves(sent).items() if path not in _SERVERS}
    before = _leaves(there)
    for path, value in new.items():
        if path in before and before[path] == value:
            continue
        others = [
            name
            for (name, how), paths in owners.items()
            if path in paths and (name, how) != (manager, "Apply")
        ]
        if others and not force:
            field = ".".join(("", *path))
            raise Refused(
                409, f'Apply failed with 1 conflict: conflict with "{others[0]}": {field}'
            )
        for key, paths in owners.items():
            if key != (manager, "Apply"):
                paths.discard(path)
    for path in mine - new.keys():
        if not any(path in paths for key, paths in owners.items() if key != (manager, "Apply")):
            _remove(made, path)
    for path, value in new.items():
        _set(made, path, value)
    owners[manager, "Apply"] = set(new)
    return _with_owners(made, owners)


def set_owner(made: Object, there: Object, manager: str, operation: str) -> Object:
    """``made`` with ``manager`` as the owner of every field that it changed."""
    before, after = _leaves(there), _leaves(made)
    changed = {path for path, value in after.items() if before.get(path) != value} - _SERVERS
    gone = before.keys() - after.keys()
    owners = _owners(there)
    for paths in owners.values():
        paths -= changed | gone
    if changed:
        owners.setdefault((manager, operation), set()).update(changed)
    return _with_owners(copy.deepcopy(made), owners)


def merge_patch(there: Object, patch: Object) -> Object:
    """RFC 7386."""
    made = dict(there)
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict):
            inner = made.get(name)
            made[name] = merge_patch(inner if isinstance(inner, dict) else {}, value)
        else:
            made[name] = value
    return made


def patch_json(there: Object, operations: list[Object]) -> Object:
    """RFC 6902, of which `add` and `replace` of list items and fields are known here."""
    made = copy.deepcopy(there)
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        inner: Any = made
        for parent in parents:
            inner = inner[parent]
        if isinstance(inner, list):
            inner.insert(len(inner) if last == "-" else int(last), operation["value"])
        else:
            inner[last] = operation["value"]
    return made


def _leaves(value: Object, at: Path = ()) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    for name, inner in value.items():
        path = (*at, name)
        if isinstance(inner, dict) and path not in _SERVERS:
            found |= _leaves(inner, path)
        else:
            found[path] = inner
    return found


def _owners(there: Object) -> dict[tuple[str, str], set[Path]]:
    return {
        (entry["manager"], entry["operation"]): set(_paths(entry["fieldsV1"]))
        for entry in there.get("metadata", {}).get("managedFields", ())
    }


def _paths(fields: Object, at: Path = ()) -> list[Path]:
    found: list[Path] = []
    for name, inner in fields.items():
        path = (*at, name.removeprefix("f:"))
        found += _paths(inner, path) if inner else [path]
    return found


def _with_owners(made: Object, owners: dict[tuple[str, str], set[Path]]) -> Object:
    entries = []
    for (manager, operation), paths in owners.items():
        fields: Object = {}
        for path in paths:
            inner = fields
            for name in path:
                inner = inner.setdefault(f"f:{name}", {})
        if paths:
            entries.append(
                {
                    "manager": manager,
                    "operation": operation,
                    "apiVersion": "v1",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": fields,
                }
            )
    made["metadata"] = {**made["metadata"], "managedFields": entries}
    return made


def _set(made: Object, path: Path, value: Any) -> None:
    for name in path[:-1]:
        made = made.setdefault(name, {})
    made[path[-1]] = copy.deepcopy(value)


def _remove(made: Object, path: Path) -> None:
    for name in path[:-1]:
        if name not in made:
            return
        made = made[name]
    made.pop(path[-1], None)
