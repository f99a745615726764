"""The OpenAPI document: what clients of the compatible API know is in it, and it can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pullpass.api import examples
from pullpass.api.openapi import document
from pullpass.domain import draft
from tests.test_docs import error_codes

TESTS = Path(__file__).parents[1]
COMPATIBLE: Mapping[str, Any] = json.loads((TESTS / "vectors" / "compatible.json").read_text())
DOCUMENT: Mapping[str, Any] = json.loads(json.dumps(document()))
SCHEMAS: Mapping[str, Any] = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def name_of(content: Mapping[str, Any] | None) -> str | None:
    """The schema of a body as the vectors write it: `RegistryResponse`, or `RegistryResponse[]`."""
    if content is None:
        return None
    schema = content["application/json"]["schema"]
    listed = schema.get("type") == "array"
    reference: str = (schema["items"] if listed else schema)["$ref"]
    return reference.rpartition("/")[2] + ("[]" if listed else "")


@pytest.mark.parametrize("known", COMPATIBLE["operations"], ids=lambda known: known["operationId"])
def test_an_operation_is_where_clients_look_for_it(known: Mapping[str, Any]) -> None:
    operation = DOCUMENT["paths"][known["path"]][known["method"]]
    assert operation["operationId"] == known["operationId"]
    assert name_of(operation.get("requestBody", {}).get("content")) == known["body"]
    success = operation["responses"][str(known["success"])]
    assert name_of(success.get("content")) == known["answer"]


@pytest.mark.parametrize("name", COMPATIBLE["schemas"])
def test_a_schema_has_the_name_and_the_fields_that_clients_know(name: str) -> None:
    known, ours = COMPATIBLE["schemas"][name], SCHEMAS[name]
    if "map_to" in known:
        values = ours["additionalProperties"]
        assert values.get("type", values.get("$ref", "").rpartition("/")[2]) == known["map_to"]
        return
    # What the original has, and means nothing here.
    absent = {"scaffolding_url"}
    if name == "UserProfileExtendedRequest":
        # Taken and ignored, as the original does: this schema forbids nothing.
        absent |= {"created_at", "id", "properties", "roles", "type"}
    assert set(known["properties"]) - absent <= ours["properties"].keys()
    if name.endswith("Request"):
        assert set(ours.get("required", [])) <= set(known["required"]), "more is asked for"
    else:
        assert set(known["required"]) <= set(ours.get("required", [])), "less is answered"


def test_names_are_given_once_and_every_reference_leads_somewhere() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for reference in references(DOCUMENT):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in DOCUMENT["components"][kind]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield str(item)
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_has_an_example_that_fits_it(name: str) -> None:
    assert SCHEMAS[name].get("examples"), "pullpass.api.examples has none"
    for example in SCHEMAS[name]["examples"]:
        fits(example, SCHEMAS[name])


def fits(example: object, schema: Mapping[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(example)


def test_no_example_is_left_over() -> None:
    assert examples.SCHEMAS.keys() <= SCHEMAS.keys()


def test_the_example_of_a_record_can_be_sent() -> None:
    [example] = SCHEMAS["RegistryRequest"]["examples"]
    assert draft.parse(example).id == example["id"]


def test_every_operation_says_who_may_call_it_and_what_it_answers() -> None:
    known = error_codes()
    for path, _, operation in operations():
        assert operation["summary"]
        assert operation["tags"]
        assert operation["security"] in ([], [{"bearer": []}])
        answers = operation["responses"]
        assert ("401" in answers) == bool(operation["security"]), path
        for status, answer in answers.items():
            assert answer["description"]
            assert "X-Request-Id" in answer["headers"]
            if status.startswith("2"):
                continue
            media = answer["content"]["application/json"]
            fits(media["example"], media["schema"])
            if not path.startswith("/health"):
                # OAuth clients look for a code in `error` (RFC 6749 section 5.2).
                kind = "OAuthErrorResponse" if path == "/token" else "ErrorInfoResponse"
                assert media["schema"]["$ref"].endswith(f"/{kind}")
                assert (media["example"]["code"], int(status)) in known
