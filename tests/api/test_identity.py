"""Users, roles and tokens."""

from __future__ import annotations

from typing import Any

import pytest

from pullpass.server import founding
from tests.api.conftest import Api, options_for

USERS = "/orgs/acme/users"


async def new_user(api: Api, **fields: str) -> dict[str, Any]:
    answer = await api.call("POST", USERS, json={"name": "bot", "role": "puller", **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_the_current_user_is_as_in_the_reference_document(api: Api) -> None:
    answer = await api.call("GET", "/current-user")
    profile = answer.json()
    assert (profile["id"], profile["type"]) == (api.admin_id, "user")
    assert profile["roles"] == {"/orgs/acme": "admin"}
    assert profile["properties"] == {}


async def test_a_user_changes_their_own_name(api: Api) -> None:
    body = {"name": "Jo Trigg", "email": "jo@example.com", "id": "ignored", "roles": {}}
    answer = await api.call("PATCH", "/current-user", json=body)
    assert answer.status_code == 200
    again = await api.call("GET", "/current-user")
    assert (again.json()["name"], again.json()["email"]) == ("Jo Trigg", "jo@example.com")
    assert again.json()["id"] == api.admin_id


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"email": "nobody"}, "email"),
        ({"properties": {"a": "b"}}, "properties"),
        ({"nickname": "jo"}, "nickname"),
        ({"name": "a\nb"}, "name"),
    ],
)
async def test_a_bad_profile_names_the_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = await api.call("PATCH", "/current-user", json=body)
    assert answer.status_code == 400
    assert [item["field"] for item in answer.json()["details"]["fields"]] == [field]


async def test_organizations_are_those_of_the_caller(api: Api) -> None:
    await founding.found(options_for(api.data_dir), "rival", "Rival")
    listed = (await api.call("GET", "/orgs")).json()
    assert [organization["id"] for organization in listed] == ["acme"]
    one = await api.call("GET", "/orgs/acme")
    assert one.json() == listed[0]
    assert one.json()["trial_expires_at"] is None
    assert (await api.call("GET", "/orgs/rival")).status_code == 404


async def test_a_service_user_lives_and_dies(api: Api) -> None:
    user = await new_user(api)
    assert (user["type"], user["role"]) == ("service", "puller")
    token = await api.token_of(user["id"])
    assert (await api.call("GET", "/orgs/acme/registries", token)).status_code == 200

    path = f"{USERS}/{user['id']}"
    assert (await api.call("POST", "/orgs/acme/registries", token, json={})).status_code == 403
    changed = await api.call("PATCH", path, json={"role": "editor"})
    assert changed.json() == {**user, "role": "editor"}
    assert (await api.call("POST", "/orgs/acme/registries", token, json={})).status_code == 400

    assert (await api.call("DELETE", path)).status_code == 204
    assert (await api.call("GET", "/orgs/acme/registries", token)).status_code == 401
    assert (await api.call("GET", path)).status_code == 404
    assert (await api.call("DELETE", path)).status_code == 404
    assert (await api.call("GET", f"/users/{user['id']}/tokens")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "puller"}, "name"),
        ({"name": "bot"}, "role"),
        ({"name": "bot", "role": "boss"}, "role"),
        ({"name": "bot", "role": "cluster"}, "cluster"),
        ({"name": "bot", "role": "cluster", "cluster": "a b"}, "cluster"),
        ({"name": "bot", "role": "reader", "cluster": "prod"}, "cluster"),
        ({"name": "bot", "role": "reader", "type": "system"}, "type"),
        ({"name": "bot", "role": "reader", "email": "x"}, "email"),
        ({"name": "bot", "role": "reader", "id": "x"}, "id"),
    ],
)
async def test_a_bad_user_names_the_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = await api.call("POST", USERS, json=body)
    assert answer.status_code == 400
    assert field in [item["field"] for item in answer.json()["details"]["fields"]]
    assert len((await api.call("GET", USERS)).json()) == 1


async def test_an_organization_keeps_an_administrator(api: Api) -> None:
    path = f"{USERS}/{api.admin_id}"
    for method, options in (("PATCH", {"json": {"role": "reader"}}), ("DELETE", {})):
        answer = await api.call(method, path, **options)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    await new_user(api, name="second", role="admin")
    assert (await api.call("PATCH", path, json={"role": "reader"})).status_code == 200


async def test_an_e_mail_address_belongs_to_one_user(api: Api) -> None:
    await new_user(api, type="user", email="jo@example.com")
    body = {"name": "jo", "role": "reader", "type": "user", "email": "JO@example.com"}
    answer = await api.call("POST", USERS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


async def test_a_token_is_shown_once_listed_and_revoked(api: Api) -> None:
    user = await new_user(api)
    path = f"/users/{user['id']}/tokens"
    body = {
        "id": "ci-token",
        "type": "static",
        "description": "for CI",
        "expires_at": "2999-04-30T19:47:01Z",
    }
    made = await api.call("POST", path, json=body)
    assert made.status_code == 200
    token = made.json()["token"]
    assert made.json() == {"token": token, "type": "static"}
    listed = await api.call("GET", path)
    info = listed.json()[0]
    assert info.pop("created_at")
    assert info == {
        "id": "ci-token",
        "type": "static",
        "description": "for CI",
        "expires_at": "2999-04-30T19:47:01.000Z",
        "created_by": api.admin_id,
        "user_id": user["id"],
    }
    assert token not in listed.text
    twin = await api.call("POST", path, json=body)
    assert (twin.status_code, twin.json()["code"]) == (409, "token_id_taken")

    assert (await api.call("GET", "/current-user", token)).status_code == 200
    assert (await api.call("DELETE", f"{path}/ci-token")).status_code == 204
    assert (await api.call("GET", "/current-user", token)).status_code == 401
    assert (await api.call("GET", f"{path}/ci-token")).status_code == 404
    assert (await api.call("DELETE", f"{path}/ci-token")).status_code == 404
    assert (await api.call("GET", path)).json() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "static"}, "id"),
        ({"id": "a b", "type": "static"}, "id"),
        ({"id": "a"}, "type"),
        ({"id": "a", "type": "jwt"}, "type"),
        ({"id": "a", "type": "static", "expires_at": "soon"}, "expires_at"),
        ({"id": "a", "type": "static", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"id": "a", "type": "static", "scope": "all"}, "scope"),
    ],
)
async def test_a_bad_token_names_the_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = await api.call("POST", f"/users/{api.admin_id}/tokens", json=body)
    assert answer.status_code == 400
    assert [item["field"] for item in answer.json()["details"]["fields"]] == [field]


async def test_a_token_makes_none_that_outlives_it(api: Api) -> None:
    short = await api.token_of(api.admin_id, expires_at="2998-01-01T00:00:00Z")
    path = f"/users/{api.admin_id}/tokens"
    for expires_at in (None, "2999-01-01T00:00:00Z"):
        body = {"id": "longer", "type": "static", "expires_at": expires_at}
        answer = await api.call("POST", path, short, json=body)
        assert answer.status_code == 400
    body = {"id": "shorter", "type": "static", "expires_at": "2997-01-01T00:00:00Z"}
    assert (await api.call("POST", path, short, json=body)).status_code == 200


async def test_a_service_user_makes_no_tokens_for_itself(api: Api) -> None:
    user = await new_user(api)
    token = await api.token_of(user["id"])
    body = {"id": "second", "type": "static"}
    answer = await api.call("POST", f"/users/{user['id']}/tokens", token, json=body)
    assert answer.status_code == 403
    assert (await api.call("GET", f"/users/{api.admin_id}/tokens", token)).status_code == 403


async def test_another_organizations_users_are_out_of_reach(api: Api) -> None:
    rival = await founding.found(options_for(api.data_dir), "rival", "Rival")
    for path in (f"{USERS}/{rival.user_id}", f"/users/{rival.user_id}/tokens"):
        assert (await api.call("GET", path)).status_code == 404
    body = {"id": "mine", "type": "static"}
    answer = await api.call("POST", f"/users/{rival.user_id}/tokens", json=body)
    assert answer.status_code == 404
    assert (await api.call("GET", "/orgs/rival/registries")).status_code == 404
    assert (await api.call("GET", "/orgs/acme/registries", rival.token.reveal())).status_code == 404


@pytest.mark.parametrize("user_id", ["nobody", "%00", "a" * 300])
async def test_a_user_id_that_cannot_be_is_not_found(api: Api, user_id: str) -> None:
    assert (await api.call("GET", f"{USERS}/{user_id}")).status_code == 404
    assert (await api.call("GET", f"/users/{user_id}/tokens")).status_code == 404
    tokens = f"/users/{api.admin_id}/tokens/{user_id}"
    assert (await api.call("GET", tokens)).status_code == 404
    assert (await api.call("DELETE", tokens)).status_code == 404


async def test_the_machines_owner_gets_a_new_token(api: Api) -> None:
    recovered = await founding.recover(options_for(api.data_dir), "acme")
    assert recovered.user_id == api.admin_id
    answer = await api.call("GET", "/current-user", recovered.token.reveal())
    assert answer.json()["id"] == api.admin_id
