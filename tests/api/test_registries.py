"""The six operations, as clients of the compatible API know them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api, open_api

PATH = "/orgs/acme/registries"
BASIC = {
    "id": "acme-ghcr",
    "registry": "ghcr.io/acme",
    "type": "basic",
    "creds": {"username": "bot", "password": "hunter2"},
}
SECRETS = {
    "*": {"namespace": "shared", "secret": "regcred"},
    "cluster-A": {"namespace": "prod", "secret": "own"},
}
# A timestamp, as the reference document's pattern has it.
TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$"


async def test_a_record_is_created_read_listed_changed_and_deleted(api: Api) -> None:
    created = await api.create(**BASIC, secrets=SECRETS)
    assert created.status_code == 201
    record = created.json()
    assert re.match(TIMESTAMP, record.pop("created_at"))
    assert record == {
        "id": "acme-ghcr",
        "registry": "ghcr.io/acme",
        "type": "basic",
        "enable_ci": False,
        "secrets": SECRETS,
        "created_by": api.admin_id,
    }

    read = await api.call("GET", f"{PATH}/acme-ghcr")
    assert read.json() == created.json()
    assert read.headers["etag"] == created.headers["etag"]
    assert (await api.call("GET", PATH)).json() == [created.json()]

    changed = await api.call("PATCH", f"{PATH}/acme-ghcr", json={"enable_ci": True})
    assert changed.status_code == 200
    assert changed.json() == {**created.json(), "enable_ci": True}
    assert changed.headers["etag"] != created.headers["etag"]

    assert (await api.call("DELETE", f"{PATH}/acme-ghcr")).status_code == 204
    assert (await api.call("GET", f"{PATH}/acme-ghcr")).status_code == 404
    assert (await api.call("DELETE", f"{PATH}/acme-ghcr")).status_code == 404
    assert (await api.call("GET", PATH)).json() == []


@pytest.mark.parametrize(
    ("record", "creds"),
    [
        (BASIC, {"registry": "ghcr.io/acme", "username": "bot", "password": "hunter2"}),
        (
            {**BASIC, "creds": {**BASIC["creds"], "expires": "2031-01-31T12:00:00Z"}},  # type: ignore[dict-item]
            {
                "registry": "ghcr.io/acme",
                "username": "bot",
                "password": "hunter2",
                "expires": "2031-01-31T12:00:00.000Z",
            },
        ),
        (
            {"id": "hub", "registry": "docker.io", "type": "public"},
            {"registry": "docker.io"},
        ),
        (
            {"id": "ref", "registry": "r.example.com", "type": "secret_ref", "secrets": SECRETS},
            {"registry": "r.example.com", "secrets": SECRETS},
        ),
    ],
    ids=["basic", "basic with expiry", "public", "secret_ref"],
)
async def test_creds_answers_what_the_type_has(
    api: Api, record: dict[str, Any], creds: dict[str, Any]
) -> None:
    assert (await api.create(**record)).status_code == 201
    answer = await api.call("GET", f"{PATH}/{record['id']}/creds")
    assert answer.status_code == 200
    assert answer.json() == creds
    assert answer.headers["cache-control"] == "no-store"


async def test_an_upstream_at_an_internal_address_is_not_asked(api: Api) -> None:
    creds = {"username": "AKIAIOSFODNN7EXAMPLE", "password": "wJalrXUtnFEMI/K7MDENG/bPx"}
    made = await api.create(
        id="ecr",
        registry="123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        type="amazon_ecr",
        creds=creds,
        options={"endpoint": "http://127.0.0.1:9"},
    )
    assert made.status_code == 201
    answer = await api.call("GET", f"{PATH}/ecr/creds")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_rejected")
    assert "PULLPASS_ALLOW_NETWORKS" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) > 0
    assert creds["password"] not in answer.text


async def test_no_answer_but_creds_ever_holds_a_password(api: Api) -> None:
    answers = [
        await api.create(**BASIC),
        await api.create(**BASIC),
        await api.create(**{**BASIC, "id": "other"}),
        await api.call("GET", PATH),
        await api.call("GET", f"{PATH}/acme-ghcr"),
        await api.call("PATCH", f"{PATH}/acme-ghcr", json={"creds": BASIC["creds"]}),
        await api.call("PATCH", f"{PATH}/acme-ghcr", json={"type": "public"}),
        await api.call("PATCH", f"{PATH}/acme-ghcr", json={"type": "google_gcr"}),
        await api.call("GET", "/metrics"),
    ]
    assert [answer.status_code for answer in answers] == [
        201, 409, 409, 200, 200, 200, 400, 400, 200,
    ]  # fmt: skip
    assert not [answer.text for answer in answers if "hunter2" in answer.text]


@pytest.mark.parametrize(
    ("twin", "code", "field"),
    [
        ({"id": "acme-ghcr", "registry": "quay.io"}, "registry_id_taken", "id"),
        ({"id": "another", "registry": "ghcr.io/acme"}, "registry_taken", "registry"),
        ({"id": "another", "registry": "https://GHCR.io/acme/"}, "registry_taken", "registry"),
    ],
)
async def test_an_id_and_a_prefix_are_given_once(
    api: Api, twin: dict[str, Any], code: str, field: str
) -> None:
    await api.create(**BASIC)
    answer = await api.create(**twin, type="public")
    assert answer.status_code == 409
    assert answer.json()["code"] == code
    assert answer.json()["details"] == {"field": field, "registry_id": "acme-ghcr"}
    assert len((await api.call("GET", PATH)).json()) == 1


async def test_a_patch_onto_anothers_prefix_is_a_conflict(api: Api) -> None:
    await api.create(**BASIC)
    await api.create(id="hub", registry="docker.io", type="public")
    answer = await api.call("PATCH", f"{PATH}/hub", json={"registry": "ghcr.io/acme/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "registry_taken")


async def test_rotating_a_credential_takes_effect_at_once(api: Api) -> None:
    await api.create(**BASIC)
    await api.call("GET", f"{PATH}/acme-ghcr/creds")
    creds = {"username": "bot", "password": "rotated"}
    assert (await api.call("PATCH", f"{PATH}/acme-ghcr", json={"creds": creds})).status_code == 200
    answer = await api.call("GET", f"{PATH}/acme-ghcr/creds")
    assert answer.json()["password"] == "rotated"


async def test_a_patch_without_creds_keeps_them(api: Api) -> None:
    await api.create(**BASIC)
    await api.call("PATCH", f"{PATH}/acme-ghcr", json={"registry": "ghcr.io/other"})
    answer = await api.call("GET", f"{PATH}/acme-ghcr/creds")
    assert answer.json() == {
        "registry": "ghcr.io/other",
        "username": "bot",
        "password": "hunter2",
    }


async def test_an_editor_does_not_get_a_stored_credential_sent_elsewhere(api: Api) -> None:
    """Editors never read credentials: nor by pointing the record at a host of their own."""
    await api.create(**BASIC)
    editor = await api.token_for("editor")
    for change in ({"registry": "evil.example.com"}, {"registry": "ghcr.io.evil.example.com/acme"}):
        refused = await api.call("PATCH", f"{PATH}/acme-ghcr", editor, json=change)
        assert refused.status_code == 400
        assert refused.json()["details"]["fields"][0]["field"] == "registry"
    within = await api.call(
        "PATCH", f"{PATH}/acme-ghcr", editor, json={"registry": "ghcr.io/acme/team"}
    )
    assert within.status_code == 200
    body = {"registry": "quay.io", "creds": {"username": "own", "password": "own"}}
    assert (await api.call("PATCH", f"{PATH}/acme-ghcr", editor, json=body)).status_code == 200


async def test_the_type_changes_in_one_patch(api: Api) -> None:
    await api.create(**BASIC)
    body = {"type": "secret_ref", "creds": None, "secrets": SECRETS}
    assert (await api.call("PATCH", f"{PATH}/acme-ghcr", json=body)).status_code == 200
    answer = await api.call("GET", f"{PATH}/acme-ghcr/creds")
    assert answer.json() == {"registry": "ghcr.io/acme", "secrets": SECRETS}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_if_match_guards_against_a_stale_write(api: Api, method: str) -> None:
    created = await api.create(**BASIC)
    await api.call("PATCH", f"{PATH}/acme-ghcr", json={"enable_ci": True})
    options: dict[str, Any] = {"json": {"enable_ci": False}} if method == "PATCH" else {}
    stale = {"If-Match": created.headers["etag"]}
    refused = await api.call(method, f"{PATH}/acme-ghcr", headers=stale, **options)
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    weak = {"If-Match": "W/" + created.headers["etag"]}
    refused = await api.call(method, f"{PATH}/acme-ghcr", headers=weak, **options)
    assert refused.status_code == 412

    current = await api.call("GET", f"{PATH}/acme-ghcr")
    assert current.json()["enable_ci"] is True
    good = {"If-Match": f'"other", {current.headers["etag"]}'}
    done = await api.call(method, f"{PATH}/acme-ghcr", headers=good, **options)
    assert done.status_code in (200, 204)


async def test_if_match_with_a_star_means_any_version(api: Api) -> None:
    await api.create(**BASIC)
    done = await api.call("DELETE", f"{PATH}/acme-ghcr", headers={"If-Match": "*"})
    assert done.status_code == 204


async def test_lists_are_whole_by_default_and_paged_on_request(api: Api) -> None:
    ids = [f"record-{number:02}" for number in range(7)]
    for record_id in reversed(ids):
        await api.create(id=record_id, registry=f"{record_id}.example.com", type="public")
    whole = await api.call("GET", PATH)
    assert [record["id"] for record in whole.json()] == ids
    assert "link" not in whole.headers

    pages, url = [], f"{PATH}?per_page=3"
    while url:
        page = await api.call("GET", url)
        pages.append([record["id"] for record in page.json()])
        link = re.fullmatch(r'<(.+)>; rel="next"', page.headers.get("link", ""))
        url = link.group(1) if link else ""
    assert pages == [ids[0:3], ids[3:6], ids[6:7]]


@pytest.mark.parametrize(
    "query",
    ["per_page=0", "per_page=101", "per_page=x", "per_page=", "per_page=%D9%A3", "page=%20",
     "page=AAAA", "per_page=1&per_page=2", "per_page=000000100999",
     "per_page=000000001" + "0" * 5000],
)  # fmt: skip
async def test_a_bad_page_is_a_400_that_names_it(api: Api, query: str) -> None:
    answer = await api.call("GET", f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"[]", "malformed_json"),
        (b'"text"', "malformed_json"),
        (b'{"id": NaN}', "malformed_json"),
        (b'{"id": "\xff"}', "malformed_json"),
        (b'{"id": "\\ud800"}', "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b'{"id": "a", "id": "b"}', "invalid_fields"),
        (b'{"creds": {"password": "a", "password": "b"}}', "invalid_fields"),
        (b"{}", "invalid_fields"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_body_that_is_no_json_object_is_a_400(api: Api, body: bytes, code: str) -> None:
    for method, path in (("POST", PATH), ("PATCH", f"{PATH}/acme-ghcr")):
        await api.create(**BASIC)
        answer = await api.call(method, path, content=body)
        if method == "PATCH" and body == b"{}":
            assert answer.status_code == 200
            continue
        assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_json_is_read_whatever_the_content_type_says(api: Api) -> None:
    answer = await api.call(
        "POST",
        PATH,
        content=json.dumps(BASIC).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 201


async def test_a_body_over_a_mebibyte_is_refused_and_leaves_no_trace(api: Api) -> None:
    creds = {"username": "bot", "password": "x" * (1024 * 1024)}
    answer = await api.create(**{**BASIC, "creds": creds})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await api.call("GET", PATH)).json() == []


async def test_all_fields_are_named_at_once_and_nothing_is_kept(api: Api) -> None:
    answer = await api.create(id="?", registry="a b", type="vero", creds=1, nonsense=2)
    assert answer.status_code == 400
    fields = [field["field"] for field in answer.json()["details"]["fields"]]
    assert sorted(fields) == ["creds", "id", "nonsense", "registry", "type"]
    assert (await api.call("GET", PATH)).json() == []


@pytest.mark.parametrize(
    "path",
    [f"{PATH}/nothing", f"{PATH}/%00", f"{PATH}/{'a' * 300}", f"{PATH}/a%2Fb", f"{PATH}/Upper"],
)
async def test_an_id_that_cannot_be_is_not_found(api: Api, path: str) -> None:
    for method, options in (("GET", {}), ("PATCH", {"json": {"enable_ci": True}}), ("DELETE", {})):
        assert (await api.call(method, path, **options)).status_code == 404  # type: ignore[arg-type]
    assert (await api.call("GET", f"{path}/creds")).status_code == 404


async def test_ci_gets_what_is_enabled_for_ci(api: Api) -> None:
    await api.create(**BASIC)
    ci = await api.token_for("ci")
    refused = await api.call("GET", f"{PATH}/acme-ghcr/creds", ci)
    assert (refused.status_code, refused.json()["code"]) == (403, "ci_not_enabled")
    await api.call("PATCH", f"{PATH}/acme-ghcr", json={"enable_ci": True})
    assert (await api.call("GET", f"{PATH}/acme-ghcr/creds", ci)).status_code == 200


async def test_a_cluster_gets_its_own_secret_reference(api: Api) -> None:
    await api.create(id="ref", registry="r.example.com", type="secret_ref", secrets=SECRETS)
    own = await api.token_for("cluster", "cluster-A")
    answer = await api.call("GET", f"{PATH}/ref/creds", own)
    assert answer.json()["secrets"] == {"cluster-A": SECRETS["cluster-A"]}
    other = await api.token_for("cluster", "cluster-B")
    answer = await api.call("GET", f"{PATH}/ref/creds", other)
    assert answer.json()["secrets"] == {"*": SECRETS["*"]}
    answer = await api.call("GET", f"{PATH}/ref/creds?cluster=cluster-A", other)
    assert (answer.status_code, answer.json()["code"]) == (403, "other_cluster")


async def test_a_cluster_sees_no_other_ones_secret_references(api: Api) -> None:
    await api.create(id="ref", registry="r.example.com", type="secret_ref", secrets=SECRETS)
    theirs = {"cluster-A": SECRETS["cluster-A"]}
    await api.create(id="theirs", registry="t.example.com", type="secret_ref", secrets=theirs)
    other = await api.token_for("cluster", "cluster-B")
    found = {each["id"]: each for each in (await api.call("GET", PATH, other)).json()}
    assert found["ref"]["secrets"] == {"*": SECRETS["*"]}
    assert "secrets" not in found["theirs"]
    paged = await api.call("GET", f"{PATH}?per_page=1", other)
    assert paged.json()[0]["secrets"] == {"*": SECRETS["*"]}
    one = await api.call("GET", f"{PATH}/theirs", other)
    assert one.status_code == 200
    assert "cluster-A" not in one.text
    reader = await api.token_for("reader")
    assert (await api.call("GET", f"{PATH}/ref", reader)).json()["secrets"] == SECRETS


async def test_an_unknown_cluster_is_told(api: Api) -> None:
    secrets = {"cluster-A": SECRETS["cluster-A"]}
    await api.create(id="ref", registry="r.example.com", type="secret_ref", secrets=secrets)
    answer = await api.call("GET", f"{PATH}/ref/creds?cluster=cluster-B")
    assert (answer.status_code, answer.json()["code"]) == (404, "cluster_not_found")
    answer = await api.call("GET", f"{PATH}/ref/creds?cluster=no%20name")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")


BUILTIN = """
[[registries]]
id = "company"
registry = "registry.example.com"
type = "basic"
creds = { username = "all", password_file = "company.txt" }
enable_ci = true
"""


async def test_built_in_records_are_everywhere_and_fixed(tmp_path: Path) -> None:
    config = tmp_path / "pullpass.toml"
    config.write_text(BUILTIN)
    (tmp_path / "company.txt").write_text("builtin-canary\n")
    async for api in open_api(tmp_path / "data", config=str(config)):
        await api.create(**BASIC)
        listed = (await api.call("GET", PATH)).json()
        assert [record["id"] for record in listed] == ["acme-ghcr", "company"]
        paged = (await api.call("GET", f"{PATH}?per_page=1&page=YWNtZS1naGNy")).json()
        assert [record["id"] for record in paged] == ["company"]
        creds = await api.call("GET", f"{PATH}/company/creds")
        assert creds.json()["password"] == "builtin-canary"
        for method, options in (("PATCH", {"json": {"enable_ci": False}}), ("DELETE", {})):
            refused = await api.call(method, f"{PATH}/company", **options)  # type: ignore[arg-type]
            assert (refused.status_code, refused.json()["code"]) == (403, "builtin_record")
        for twin in ({"id": "company"}, {"id": "other", "registry": "registry.example.com"}):
            assert (await api.create(**{**BASIC, "registry": "x.io", **twin})).status_code == 409
        image = await api.call("GET", "/orgs/acme/image-creds?image=registry.example.com/a/b:1")
        assert image.json()["id"] == "company"
