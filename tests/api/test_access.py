"""Every route for every kind of caller, walked from the one table of operations."""

from __future__ import annotations

import re

import pytest

from pullpass.api.routes import OPERATIONS, PAGES, Entry, Operation
from pullpass.domain.access import PERMISSIONS, Action
from pullpass.domain.identity import Role
from pullpass.domain.token import generate
from tests.api.conftest import Api

ALL = OPERATIONS + PAGES
IN_ORGANIZATION = [operation for operation in OPERATIONS if isinstance(operation.access, Action)]


def path_of(operation: Operation, organization: str = "acme") -> str:
    path = operation.path.replace("{orgId}", organization)
    return re.sub(r"\{\w+\}", "anything", path)


def name_of(operation: Operation) -> str:
    return operation.id


def test_the_table_holds_every_operation_of_the_wire_contract() -> None:
    assert {operation.id for operation in OPERATIONS} >= {
        "getOrgsOrgIdRegistries",
        "postOrgsOrgIdRegistries",
        "getOrgsOrgIdRegistriesRegId",
        "patchOrgsOrgIdRegistriesRegId",
        "deleteOrgsOrgIdRegistriesRegId",
        "getOrgsOrgIdRegistriesRegIdCreds",
        "listOrganizations",
        "getOrganization",
        "getCurrentUser",
        "updateCurrentUser",
        "listUserTokens",
        "createUserToken",
        "getUserToken",
        "deleteUserToken",
    }
    public = {operation.path for operation in ALL if operation.access is Entry.PUBLIC}
    assert public == {"/", "/metrics", "/health/live", "/health/ready", "/token"}
    assert {operation.path for operation in OPERATIONS if operation.path.startswith("/orgs/")} == {
        operation.path for operation in IN_ORGANIZATION
    }


@pytest.mark.parametrize("role", Role)
async def test_each_role_reaches_what_it_may_and_no_more(api: Api, role: Role) -> None:
    token = await api.token_for(role)
    for operation in IN_ORGANIZATION:
        assert isinstance(operation.access, Action)
        answer = await api.call(operation.method, path_of(operation), token)
        if operation.access in PERMISSIONS[role]:
            assert answer.status_code not in (401, 403), operation.id
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), operation.id


@pytest.mark.parametrize("operation", IN_ORGANIZATION, ids=name_of)
async def test_a_stranger_is_told_that_there_is_no_organization(
    api: Api, operation: Operation
) -> None:
    for organization in ("rival", "acm", "ACME", "%00", "acme%2F", "*"):
        answer = await api.call(operation.method, path_of(operation, organization))
        assert answer.status_code in (404, 405), organization


@pytest.mark.parametrize(
    "operation",
    [operation for operation in ALL if operation.access is not Entry.PUBLIC],
    ids=name_of,
)
async def test_nothing_is_answered_without_a_valid_token(api: Api, operation: Operation) -> None:
    stale = await api.token_for("admin")
    users = (await api.call("GET", "/orgs/acme/users")).json()
    user = next(user for user in users if user["name"] == "admin-user")
    gone = await api.call("DELETE", f"/users/{user['id']}/tokens/first")
    assert gone.status_code == 204
    for token in (None, "nonsense", generate().reveal(), stale):
        answer = await api.call(operation.method, path_of(operation), token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert set(answer.json()) == {"error", "code"}
    for header in ("Basic YTpi", "Bearer", f"Token {api.admin_token}"):
        answer = await api.call(
            operation.method, path_of(operation), None, headers={"Authorization": header}
        )
        assert answer.status_code == 401


async def test_public_routes_need_no_token(api: Api) -> None:
    for operation in ALL:
        if operation.access is Entry.PUBLIC:
            answer = await api.call(operation.method, operation.path, None)
            # A token exchange without anything to exchange.
            expected = (400,) if operation.path == "/token" else (200, 302)
            assert answer.status_code in expected, operation.id


async def test_an_unknown_path_or_method_has_the_error_body(api: Api) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PUT", "/orgs/acme/registries", 405),
        ("DELETE", "/orgs/acme/registries", 405),
        ("GET", "/orgs/acme/registries/", 404),
    ):
        answer = await api.call(method, path)
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "code"}
        assert answer.headers["x-request-id"]
    assert "POST" in (await api.call("PUT", "/orgs/acme/registries")).headers["allow"]


async def test_a_base_url_with_a_trailing_slash_works(api: Api) -> None:
    answer = await api.http.get(
        "http://pullpass//orgs/acme/registries", headers=api.as_(api.admin_token)
    )
    assert answer.status_code == 200
