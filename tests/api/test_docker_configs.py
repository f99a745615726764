"""Docker configs by the API: what is in them, what is said beside them, and all or nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.api.conftest import Api

CONFIG = "/orgs/acme/docker-config"
ENDS = "2031-01-31T12:00:00.000Z"


async def fill(api: Api) -> None:
    for record_id, registry, more in (
        ("team", "ghcr.io/team", {"expires": "2032-01-31T12:00:00Z"}),
        ("other", "ghcr.io/other", {"expires": ENDS}),
        ("wild", "*.example.com", {}),
    ):
        creds = {"username": record_id, "password": f"{record_id}-password", **more}
        fields = {"id": record_id, "registry": registry, "type": "basic", "creds": creds}
        made = await api.create(**fields, enable_ci=record_id == "team")
        assert made.status_code == 201, made.text
    made = await api.create(id="free", registry="quay.io", type="public")
    assert made.status_code == 201, made.text


def users(answer: Any) -> dict[str, str]:
    auths = answer.json()["auths"]
    return {
        key: base64.b64decode(fields.get("auth", "")).decode().partition(":")[0]
        for key, fields in auths.items()
    }


async def test_images_get_their_credentials_and_no_more(api: Api) -> None:
    await fill(api)
    images = ["ghcr.io/team/app:1", "eu.example.com/a/b", "nginx", "quay.io/x", "nginx"]
    answer = await api.call("POST", CONFIG, json={"images": images})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"auths"}
    assert users(answer) == {"ghcr.io": "team", "ghcr.io/team": "team", "eu.example.com": "wild"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pullpass-expires"] == "2032-01-31T12:00:00.000Z"
    assert answer.headers["pullpass-without-credential"] == "nginx, quay.io/x"

    both = {"images": ["ghcr.io/team/app", "ghcr.io/other/app"], "consumer": "kubelet"}
    answer = await api.call("POST", CONFIG, json=both)
    assert users(answer) == {"ghcr.io/team/": "team", "ghcr.io/other/": "other"}
    # The first that ends ends the config.
    assert answer.headers["pullpass-expires"] == ENDS
    assert "pullpass-without-credential" not in answer.headers


async def test_no_images_and_images_without_records_make_an_empty_config(api: Api) -> None:
    answer = await api.call("POST", CONFIG, json={"images": []})
    assert (answer.status_code, answer.json()) == (200, {"auths": {}})
    images = [f"a/b{number}" for number in range(1000)]
    answer = await api.call("POST", CONFIG, json={"images": images})
    assert (answer.status_code, answer.json()) == (200, {"auths": {}})
    assert answer.headers["pullpass-without-credential"].endswith("a/b19, 980 more")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["images"]),
        ({"images": ["a"] * 1001}, ["images"]),
        ({"images": ["nginx"], "image": "nginx"}, ["image"]),
        ({"images": ["nginx"], "consumer": "podman"}, ["consumer"]),
        ({"images": ["Not An Image", "ghcr.io/team/app", "b@"]}, ["images.0", "images.2"]),
    ],
)
async def test_bad_input_names_every_field_and_hands_nothing_out(
    api: Api, body: dict[str, object], fields: list[str]
) -> None:
    await fill(api)
    answer = await api.call("POST", CONFIG, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")
    assert [problem["field"] for problem in answer.json()["details"]["fields"]] == fields
    assert "password" not in answer.text


async def test_a_ci_token_gets_all_of_what_is_open_to_ci_or_nothing(api: Api) -> None:
    await fill(api)
    token = await api.token_for("ci")
    answer = await api.call("POST", CONFIG, token, json={"images": ["ghcr.io/team/app", "nginx"]})
    assert answer.status_code == 200
    assert users(answer)["ghcr.io"] == "team"
    images = ["ghcr.io/team/app", "ghcr.io/other/app", "eu.example.com/a"]
    answer = await api.call("POST", CONFIG, token, json={"images": images})
    assert (answer.status_code, answer.json()["code"]) == (403, "ci_not_enabled")
    assert answer.json()["details"]["registry_ids"] == ["other", "wild"]
    one = await api.call("GET", "/orgs/acme/registries/other/docker-config", token)
    assert (one.status_code, one.json()["code"]) == (403, "ci_not_enabled")


async def test_a_record_gives_a_config_too(api: Api) -> None:
    await fill(api)
    answer = await api.call("GET", "/orgs/acme/registries/other/docker-config")
    assert users(answer) == {"ghcr.io": "other", "ghcr.io/other": "other"}
    assert answer.headers["pullpass-expires"] == ENDS
    assert answer.headers["cache-control"] == "no-store"
    free = await api.call("GET", "/orgs/acme/registries/free/docker-config")
    assert (free.status_code, free.json()) == (200, {"auths": {}})

    wild = await api.call("GET", "/orgs/acme/registries/wild/docker-config")
    assert (wild.status_code, wild.json()["code"]) == (400, "wildcard_registry")
    wild = await api.call("GET", "/orgs/acme/registries/wild/docker-config?consumer=kubelet")
    assert users(wild) == {"*.example.com": "wild"}
    for path, status in (("other/docker-config?consumer=x", 400), ("none/docker-config", 404)):
        answer = await api.call("GET", f"/orgs/acme/registries/{path}")
        assert answer.status_code == status


async def test_what_is_handed_out_is_counted_once_for_each_credential(api: Api) -> None:
    await fill(api)
    images = ["ghcr.io/team/a", "ghcr.io/team/b", "ghcr.io/other/a", "nginx", "quay.io/x"]
    await api.call("POST", CONFIG, json={"images": images})
    metrics = await api.call("GET", "/metrics")
    assert 'pullpass_credentials_delivered_total{type="basic"} 2.0' in metrics.text
    assert 'delivered_total{type="public"}' not in metrics.text
