"""The OpenAPI 3.1 document, made from the table of operations and the wire models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec

from pullpass import __version__
from pullpass.api import examples
from pullpass.api.models.common import HealthResponse
from pullpass.api.models.registries import RegistryResponse
from pullpass.api.models.trust import OAuthErrorResponse
from pullpass.api.routes import OPERATIONS, Entry, Operation

_PATH_PARAMETERS = {
    "orgId": "Unique (alpha-numerical) organization identifier.",
    "regId": "Unique (alpha-numerical) registry identifier.",
    "userId": "The user ID.",
    "tokenId": "The token ID.",
    "ruleId": "Unique (alpha-numerical) trust rule identifier.",
    "cluster": "The cluster's name.",
}
_ERROR_DESCRIPTIONS = {
    400: "Request parameters or payload are incomplete or invalid.",
    401: "Authentication token is missing or invalid.",
    403: "The caller's role is too small, or the record is built in.",
    404: "No such record, or an organization that the caller is no member of.",
    408: "The body did not arrive in time.",
    409: "The id, or the normalized prefix, is taken.",
    412: "The record was changed since the version that If-Match names.",
    413: "The body is larger than 1 MiB (64 KiB for a token exchange).",
    429: "Too many calls with this token, or with unknown ones from this address.",
    502: "The upstream gave no credential.",
    503: "Not now: the database does not answer, or too much is under way. Try again.",
}
_HEADERS: Mapping[str, str] = {
    "X-Request-Id": "Names this request in the server's log.",
    "ETag": "The version of the record, for `If-Match`.",
    "Link": 'The next page, as `rel="next"`; absent from the last one, and from a whole list.',
    "WWW-Authenticate": "That a bearer token is asked for.",
    "Retry-After": "Seconds after which to try again.",
}


def document() -> dict[str, object]:
    """The whole document, as a JSON value."""
    types = _types(OPERATIONS)
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pullpass API",
            "version": __version__,
            "description": "Registry credentials: which one an image gets, and handing it out.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {
                name: {**schema, **examples.of_schema(name)}
                for name, schema in _named(components).items()
            },
            "headers": {
                name: {"description": description, "schema": {"type": "string"}}
                for name, description in _HEADERS.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A Pullpass token."}
            },
        },
    }


def _types(operations: Iterable[Operation]) -> list[type]:
    found: dict[str, type] = {}
    for operation in operations:
        for kind in (operation.body, operation.answer, operation.refusal):
            if kind is not None:
                found[repr(kind)] = kind
    return list(found.values())


def _named(components: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The schemas by name, those of maps too: msgspec has maps in place, wherever they occur, and
    generated code would call each after where it stands.
    """
    named: dict[str, dict[str, object]] = {}

    def lift(value: object) -> object:
        if isinstance(value, list):
            return [lift(item) for item in value]
        if not isinstance(value, dict):
            return value
        schema = {key: lift(item) for key, item in value.items()}
        if schema.get("type") != "object" or "title" not in schema:
            return schema
        name = str(schema["title"])
        named[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    for name, schema in components.items():
        named[name] = {key: lift(item) for key, item in schema.items()}
    return dict(sorted(named.items()))


def _operation(
    operation: Operation, schemas: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    found: dict[str, object] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
        "security": [] if operation.access is Entry.PUBLIC else [{"bearer": []}],
    }
    if operation.description:
        found["description"] = operation.description
    if operation.body is not None:
        content = {operation.body_type: {"schema": schemas[repr(operation.body)]}}
        found["requestBody"] = {"required": not operation.body_optional, "content": content}
    return found


def _parameters(operation: Operation) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    found += [
        {
            "name": query.name,
            "in": "query",
            "required": query.required,
            "description": query.description,
            "schema": query.schema,
        }
        for query in operation.query
    ]
    if operation.conditional:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "description": "Change the record only if its ETag is one of these.",
                "schema": {"type": "string"},
            }
        )
    return found


def _responses(
    operation: Operation, schemas: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    success: dict[str, object] = {"description": HTTPStatus(operation.success).phrase}
    if operation.answer is not None:
        schema = schemas[repr(operation.answer)]
        success["content"] = {"application/json": {"schema": schema}}
    if operation.answer is RegistryResponse:
        success["headers"] = _headers("ETag")
    elif any(query.name == "page" for query in operation.query):
        success["headers"] = _headers("Link")
    else:
        success["headers"] = _headers()
    found: dict[str, object] = {str(operation.success): success}
    refusal, errors = schemas[repr(operation.refusal)], examples.ERRORS
    if operation.refusal is OAuthErrorResponse:
        errors = examples.OAUTH_ERRORS
    unavailable, example = refusal, errors[503]
    if operation.answer is HealthResponse:
        unavailable, example = schemas[repr(HealthResponse)], examples.NOT_READY
    if operation.nothing:
        found["204"] = {"description": operation.nothing, "headers": _headers()}
    for status in operation.errors:
        found[str(status)] = _error(status, refusal, errors[status])
    if operation.body is not None:
        found["408"] = _error(408, refusal, errors[408])
    if operation.access is not Entry.PUBLIC:
        found["429"] = _error(429, refusal, errors[429])
    found["503"] = _error(503, unavailable, example)
    return found


def _error(
    status: int, schema: Mapping[str, object], example: Mapping[str, object]
) -> dict[str, object]:
    of_its_own = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
    return {
        "description": _ERROR_DESCRIPTIONS[status],
        "headers": _headers(*of_its_own.get(status, ())),
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _headers(*names: str) -> dict[str, object]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}
