"""Which credential an image gets, and why."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api

MATCH = "/orgs/acme/registries/actions/match"


async def fill(api: Api, **prefixes: str) -> None:
    for record_id, registry in prefixes.items():
        made = await api.create(
            id=record_id,
            registry=registry,
            type="basic",
            creds={"username": record_id, "password": f"{record_id}-password"},
        )
        assert made.status_code == 201, made.text


async def test_match_names_the_winner_the_candidates_and_the_reason(api: Api) -> None:
    await fill(api, domain="gcr.io", project="gcr.io/proj", hub="docker.io")
    images = ["gcr.io/proj/app:1", "gcr.io/project/app", "nginx", "quay.io/a/b", "Bad Image"]
    answer = await api.call("POST", MATCH, json={"images": images})
    assert answer.status_code == 200
    body = answer.json()
    assert [item["image"] for item in body["results"]] == images
    assert [item["match"] and item["match"]["id"] for item in body["results"]] == [
        "project",
        "domain",
        "hub",
        None,
        None,
    ]
    first = body["results"][0]
    assert first["candidates"] == [{"id": "domain", "registry": "gcr.io", "type": "basic"}]
    assert first["reference"] == {"domain": "gcr.io", "repository": "proj/app", "tag": "1"}
    assert "gcr.io/proj" in first["reason"]
    assert body["results"][2]["reference"] == {
        "domain": "docker.io",
        "repository": "library/nginx",
    }
    assert body["results"][4]["code"] == "invalid_image_reference"
    assert (body["unmatched"], body["malformed"]) == (["quay.io/a/b"], ["Bad Image"])
    assert "password" not in answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "images"),
        ({"images": "nginx"}, "images"),
        ({"images": [1]}, "images.0"),
        ({"images": ["nginx"] * 10_001}, "images"),
        ({"images": [], "image": "nginx"}, "image"),
    ],
    ids=["none", "text", "number", "too many", "unknown field"],
)
async def test_a_bad_match_request_names_the_field(
    api: Api, body: dict[str, object], field: str
) -> None:
    answer = await api.call("POST", MATCH, json=body)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == field


async def test_no_images_match_nothing(api: Api) -> None:
    answer = await api.call("POST", MATCH, json={"images": []})
    assert answer.json() == {"results": [], "unmatched": [], "malformed": []}


async def test_an_image_gets_the_credential_of_the_most_specific_record(api: Api) -> None:
    await fill(api, domain="ghcr.io", team="ghcr.io/team", wild="*.example.com")
    for image, record_id in (
        ("ghcr.io/team/app@sha256:" + "a" * 64, "team"),
        ("ghcr.io/teamwork/app", "domain"),
        ("eu.example.com/a", "wild"),
    ):
        answer = await api.call("GET", "/orgs/acme/image-creds", params={"image": image})
        assert answer.status_code == 200
        assert answer.json()["id"] == record_id
        assert answer.json()["password"] == f"{record_id}-password"


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"image": "quay.io/a/b"}, 404, "no_match"),
        ({"image": "not an image"}, 400, "invalid_image_reference"),
        ({"image": ""}, 400, "invalid_fields"),
        ({}, 400, "invalid_fields"),
        ({"image": "nginx\n"}, 400, "invalid_image_reference"),
        ({"image": "a" * 64}, 400, "invalid_image_reference"),
    ],
)
async def test_an_image_without_a_credential(
    api: Api, params: dict[str, str], status: int, code: str
) -> None:
    answer = await api.call("GET", "/orgs/acme/image-creds", params=params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("host", "record_id"),
    [
        ("ghcr.io", "domain"),
        ("https://ghcr.io", "domain"),
        ("https://index.docker.io/v1/", "hub"),
        ("docker.io", "hub"),
        ("127.0.0.1:5055", "only"),
        ("quay.io/one", "one"),
    ],
)
async def test_a_host_gets_its_record_or_the_only_one_below(
    api: Api, host: str, record_id: str
) -> None:
    await fill(
        api,
        domain="ghcr.io",
        team="ghcr.io/team",
        hub="index.docker.io/v1/",
        only="127.0.0.1:5055/team",
        one="quay.io/one",
        two="quay.io/two",
    )
    answer = await api.call("GET", "/orgs/acme/host-creds", params={"host": host})
    assert (answer.status_code, answer.json()["id"]) == (200, record_id)


async def test_a_host_whose_records_disagree_is_ambiguous(api: Api) -> None:
    await fill(api, one="quay.io/one", two="quay.io/two")
    answer = await api.call("GET", "/orgs/acme/host-creds?host=quay.io")
    assert (answer.status_code, answer.json()["code"]) == (404, "ambiguous_host")
    assert answer.json()["details"] == {"prefixes": ["quay.io/one", "quay.io/two"], "total": 2}
    answer = await api.call("GET", "/orgs/acme/host-creds?host=elsewhere.io")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_match")
    answer = await api.call("GET", "/orgs/acme/host-creds?host=a%20b")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")


async def test_a_moved_prefix_is_matched_where_it_is_now(api: Api) -> None:
    await fill(api, one="a.example.com")
    await api.call("PATCH", "/orgs/acme/registries/one", json={"registry": "b.example.com"})
    await fill(api, two="a.example.com")
    for image, record_id in (("a.example.com/x", "two"), ("b.example.com/x", "one")):
        answer = await api.call("GET", "/orgs/acme/image-creds", params={"image": image})
        assert answer.json()["id"] == record_id
