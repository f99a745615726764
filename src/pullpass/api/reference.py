"""The readable reference page: one self-contained HTML page made from the OpenAPI document."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "reference.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def render(document: Mapping[str, Any]) -> str:
    """The page for an OpenAPI document. Everything that it shows is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            entry = {"method": method.upper(), "path": path, **operation}
            by_tag.setdefault(operation["tags"][0], []).append(entry)
    template = environment.get_template("reference.html")
    return template.render(
        style=_STYLE,
        info=document["info"],
        tags=by_tag,
        schemas=document["components"]["schemas"],
        type_of=_type_of,
    )


def _type_of(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, like ``list of RegistryResponse``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type_of(option) for option in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {_type_of(schema['additionalProperties'])}"
    return kind
