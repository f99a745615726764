"""What the audit log says, of everything that is done by the API."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from pullpass.api.routes import OPERATIONS
from pullpass.domain.access import Action
from tests.api.conftest import Api

LOGS = "/orgs/acme/audit-logs"
PASSWORD = "hunter2-canary"
GHCR = {
    "id": "ghcr",
    "registry": "ghcr.io/acme",
    "type": "basic",
    "creds": {"username": "bot", "password": PASSWORD},
}

# Every operation that changes something: how it is called, and what the log then says.
CHANGES: dict[str, tuple[str, str, dict[str, Any] | None, dict[str, Any]]] = {
    "postOrgsOrgIdRegistries": (
        "POST",
        "/orgs/acme/registries",
        GHCR,
        {"action": "registry.create", "registry_id": "ghcr", "response_status": 201}
        | {"details": {"fields": "creds, id, registry, type"}},
    ),
    "patchOrgsOrgIdRegistriesRegId": (
        "PATCH",
        "/orgs/acme/registries/ghcr",
        {"enable_ci": True},
        {"action": "registry.update", "registry_id": "ghcr", "details": {"fields": "enable_ci"}},
    ),
    "checkRegistry": (
        "POST",
        "/orgs/acme/registries/ghcr/actions/check",
        None,
        {"action": "registry.check", "registry_id": "ghcr"},
    ),
    "deleteOrgsOrgIdRegistriesRegId": (
        "DELETE",
        "/orgs/acme/registries/ghcr",
        None,
        {"action": "registry.delete", "registry_id": "ghcr", "response_status": 204},
    ),
    "createOrganizationUser": (
        "POST",
        "/orgs/acme/users",
        {"name": "prod", "role": "cluster", "cluster": "prod"},
        {"action": "user.create", "details": {"role": "cluster", "cluster": "prod"}},
    ),
    "updateOrganizationUser": (
        "PATCH",
        "/orgs/acme/users/{user}",
        {"role": "puller"},
        {"action": "user.update", "subject_id": "{user}", "details": {"role": "puller"}},
    ),
    "createUserToken": (
        "POST",
        "/users/{user}/tokens",
        {"id": "t", "type": "static", "expires_at": "2040-01-01T00:00:00Z"},
        {"action": "token.create", "subject_id": "{user}"}
        | {"details": {"token": "t", "expires": "2040-01-01T00:00:00.000Z"}},
    ),
    "deleteUserToken": (
        "DELETE",
        "/users/{user}/tokens/t",
        None,
        {"action": "token.delete", "subject_id": "{user}", "details": {"token": "t"}},
    ),
    "deleteOrganizationUser": (
        "DELETE",
        "/orgs/acme/users/{user}",
        None,
        {"action": "user.delete", "subject_id": "{user}"},
    ),
    "createTrustRule": (
        "POST",
        "/orgs/acme/trust-rules",
        {
            "id": "build",
            "issuer": "https://token.actions.githubusercontent.com",
            "claims": {"repository": "acme/app"},
            "role": "ci",
        },
        {"action": "trust_rule.create", "subject_id": "build"}
        | {"details": {"fields": "claims, id, issuer, role"}},
    ),
    "updateTrustRule": (
        "PATCH",
        "/orgs/acme/trust-rules/build",
        {"role": "puller"},
        {"action": "trust_rule.update", "subject_id": "build", "details": {"fields": "role"}},
    ),
    "deleteTrustRule": (
        "DELETE",
        "/orgs/acme/trust-rules/build",
        None,
        {"action": "trust_rule.delete", "subject_id": "build"},
    ),
    "deleteCluster": (
        "DELETE",
        "/orgs/acme/clusters/prod",
        None,
        {"action": "cluster.forget", "subject_id": "prod", "response_status": 204},
    ),
    "updateCurrentUser": (
        "PATCH",
        "/current-user",
        {"name": "Ada"},
        {"action": "user.update", "details": {"fields": "name"}},
    ),
}
# They answer a question that needs a body.
READS = {"matchImages", "testTrustRules"}
# tests/api/test_federation.py has the issuer that it takes.
ELSEWHERE = {"exchangeToken"}
# It hands credentials out, and has a test below.
READS |= {"createDockerConfig"}
# What an agent reports of its cluster is no decision of anybody's.
REPORTS = {"putClusterStatus"}


async def entries(api: Api, **query: str) -> list[dict[str, Any]]:
    answer = await api.call("GET", LOGS, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def newest(api: Api) -> dict[str, Any]:
    return (await entries(api))[0]


def test_every_change_is_here() -> None:
    changing = {operation.id for operation in OPERATIONS if operation.method != "GET"}
    assert changing - READS - REPORTS - ELSEWHERE == set(CHANGES)


async def test_every_change_is_logged_once_with_who_and_what(api: Api) -> None:
    report = {"version": "1.0", "mode": "needed", "revision": 1, "namespaces": 2}
    await api.call("PUT", "/orgs/acme/clusters/prod/status", json={**report, "registries": []})
    user = ""
    for name, (method, path, body, expected) in CHANGES.items():
        before = (await newest(api))["sequence"]
        path = path.replace("{user}", user)
        answer = await api.call(
            method, path, json=body, headers={"X-Request-Id": name, "User-Agent": "test/1"}
        )
        assert answer.status_code < 300, answer.text
        if name == "createOrganizationUser":
            user = answer.json()["id"]
        entry = await newest(api)
        assert entry["sequence"] == before + 1, name
        wanted = json.loads(json.dumps(expected).replace("{user}", user))
        always = {
            "org_id": "acme",
            "request_method": method,
            "request_path": path,
            "response_status": answer.status_code,
            "request_id": name,
            "user_agent": "test/1",
            "address": "127.0.0.1",
            "user_id": api.admin_id,
            "token_id": "init-acme",
            "role": "admin",
            "result": "ok",
        }
        said = entry.get("details", {})
        assert {**entry, "details": said} | always | wanted == {**entry, "details": said}, name
    assert PASSWORD not in json.dumps(await entries(api))


async def test_an_organization_begins_with_its_creation(api: Api) -> None:
    first = (await entries(api, after="0"))[:2]
    assert [entry["action"] for entry in first] == ["organization.create", "token.create"]
    assert {entry["request_method"] for entry in first} == {"LOCAL"}


@pytest.mark.parametrize(
    ("path", "about"),
    [
        ("/orgs/acme/image-creds?image=ghcr.io/acme/app:1", {"image": "ghcr.io/acme/app:1"}),
        ("/orgs/acme/host-creds?host=https://ghcr.io", {"host": "https://ghcr.io"}),
        ("/orgs/acme/registries/ghcr/creds", {}),
    ],
)
async def test_a_credential_is_logged_before_it_leaves(
    api: Api, path: str, about: dict[str, str]
) -> None:
    await api.create(**GHCR)
    answer = await api.call("GET", path)
    assert answer.json()["password"] == PASSWORD
    entry = await newest(api)
    assert (
        entry
        | about
        | {
            "action": "credential.read",
            "registry_id": "ghcr",
            "result": "ok",
            "response_status": 200,
            "request_path": path.partition("?")[0],
            "details": {"type": "basic"},
        }
        == entry
    )


@pytest.mark.parametrize(
    ("role", "path", "code", "status"),
    [
        ("reader", "image-creds?image=ghcr.io/acme/app", "forbidden", 403),
        ("ci", "image-creds?image=ghcr.io/acme/app", "ci_not_enabled", 403),
        ("ci", "registries/ghcr/creds", "ci_not_enabled", 403),
        ("cluster", "registries/ghcr/creds?cluster=other", "other_cluster", 403),
        ("puller", "image-creds?image=quay.io/app", "no_match", 404),
        ("puller", "host-creds?host=quay.io", "no_match", 404),
        ("puller", "registries/nope/creds", "registry_not_found", 404),
    ],
)
async def test_a_refused_credential_is_logged_with_the_reason(
    api: Api, role: str, path: str, code: str, status: int
) -> None:
    await api.create(**GHCR)
    token = await api.token_for(role)
    answer = await api.call("GET", f"/orgs/acme/{path}", token)
    assert answer.status_code == status
    entry = await newest(api)
    assert (
        entry
        | {
            "action": "credential.read",
            "result": "refused",
            "code": code,
            "response_status": status,
            "user_name": f"{role}-user",
            "role": role,
            "token_id": "first",
        }
        == entry
    )


async def test_each_credential_of_a_docker_config_is_logged_with_its_images(api: Api) -> None:
    await api.create(**GHCR)
    await api.create(id="hub", registry="docker.io", type="public")
    images = ["ghcr.io/acme/a", "nginx", "ghcr.io/acme/b:1", "quay.io/none"]
    path = "/orgs/acme/docker-config"
    answer = await api.call("POST", path, json={"images": images})
    assert answer.status_code == 200, answer.text
    found = [(entry["registry_id"], entry["image"]) for entry in (await entries(api))[:2]]
    assert sorted(found) == [("ghcr", "ghcr.io/acme/a, ghcr.io/acme/b:1"), ("hub", "nginx")]
    token = await api.token_for("ci")
    refused = await api.call("POST", path, token, json={"images": images[:1]})
    assert refused.status_code == 403
    entry = await newest(api)
    assert (entry["code"], entry["image"]) == ("ci_not_enabled", "ghcr.io/acme/a")
    assert (await api.call("GET", "/orgs/acme/registries/ghcr/docker-config")).status_code == 200
    assert (await newest(api))["registry_id"] == "ghcr"


async def test_a_role_that_is_too_small_for_a_change_is_logged(api: Api) -> None:
    token = await api.token_for("reader")
    assert (await api.call("DELETE", "/orgs/acme/registries/x", token)).status_code == 403
    entry = await newest(api)
    assert (entry["action"], entry["code"]) == ("role.refuse", "forbidden")
    assert entry["details"] == {"asked_to": Action.WRITE_RECORDS}


async def test_without_the_log_there_is_no_credential_and_no_change(api: Api) -> None:
    await api.create(**GHCR)
    path = "/orgs/acme/image-creds?image=ghcr.io/acme/app"
    assert (await api.call("GET", path)).status_code == 200
    with closing(sqlite3.connect(api.data_dir / "pullpass.db")) as database:
        database.execute("ALTER TABLE audit_entries RENAME TO elsewhere")
        for _ in range(2):
            answer = await api.call("GET", path)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert answer.headers["retry-after"]
            assert PASSWORD not in answer.text
        assert (await api.call("DELETE", "/orgs/acme/registries/ghcr")).status_code == 503
        reader = (await api.call("GET", "/orgs/acme/registries/ghcr")).status_code
        assert reader == 200
        database.execute("ALTER TABLE elsewhere RENAME TO audit_entries")
        assert (await api.call("GET", path)).json()["password"] == PASSWORD


async def test_filters_and_pages(api: Api) -> None:
    await api.create(**GHCR)
    for number in range(5):
        await api.call("GET", f"/orgs/acme/image-creds?image=ghcr.io/acme/app:{number}")
    await api.call("GET", "/orgs/acme/image-creds?image=quay.io/x")
    reads = await entries(api, action="credential.read", result="ok")
    assert [entry["image"][-1] for entry in reads] == ["4", "3", "2", "1", "0"]
    assert [entry["code"] for entry in await entries(api, result="refused")] == ["no_match"]
    assert len(await entries(api, registry_id="ghcr")) == 6
    assert await entries(api, user_id="nobody") == []
    assert await entries(api, to=reads[0]["at"], action="registry.delete") == []
    at = reads[2]["at"]
    split = [await entries(api, **{"from": at}), await entries(api, to=at)]
    everything = await entries(api)
    assert split[0] + split[1] == everything

    seen: list[dict[str, Any]] = []
    path = f"{LOGS}?per_page=2&registry_id=ghcr"
    while path:
        answer = await api.call("GET", path)
        seen += answer.json()
        path = answer.links.get("next", {}).get("url", "")
    assert seen == await entries(api, registry_id="ghcr")


async def test_an_export_goes_on_where_it_ended_and_its_hashes_can_be_followed(api: Api) -> None:
    await api.create(**GHCR)
    first = await api.call("GET", f"{LOGS}?after=0&per_page=2")
    assert "after=2" in first.headers["link"]
    rest = await entries(api, after="2", per_page="1000")
    before = bytes(32)
    for entry in first.json() + rest:
        sequence, hash_ = entry.pop("sequence"), entry.pop("hash")
        document = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        start = f"pullpass/audit/1\0acme\0{sequence}\0".encode()
        before = hashlib.sha256(start + before + document.encode()).digest()
        assert before.hex() == hash_


async def test_only_an_administrator_reads_the_log(api: Api) -> None:
    for role in ("editor", "reader", "puller", "ci", "cluster"):
        answer = await api.call("GET", LOGS, await api.token_for(role))
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "to=1",
        "action=none",
        "result=maybe",
        "after=-1",
        "after=1&result=ok",
        "per_page=1001",
        "per_page=x",
        "page=nope",
        "after=99999999999999999999",
        "user_id=a%00",
        "registry_id=%00",
    ],
)
async def test_a_parameter_that_is_wrong_is_named(api: Api, query: str) -> None:
    answer = await api.call("GET", f"{LOGS}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")
    assert answer.json()["details"]["fields"][0]["field"] == query.partition("=")[0]


async def test_what_others_send_cannot_break_an_entry(api: Api) -> None:
    image = "ghcr.io/acme/" + "a" * 900
    await api.call(
        "GET",
        "/orgs/acme/registries/nope/creds",
        headers={"User-Agent": 'x"\\\x7f' + "y" * 900},
    )
    await api.call("GET", "/orgs/acme/image-creds", params={"image": image})
    entry = (await entries(api, result="refused", registry_id="nope"))[0]
    assert len(entry["user_agent"]) == 500
    assert entry["user_agent"].startswith('x"\\\x7f')
