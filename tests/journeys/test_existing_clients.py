"""The public TypeScript client of the compatible API (@humanitec/autogen), as npm installs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.parts.google import service_account_key
from tests.parts.node import install_autogen
from tests.parts.server import PullpassServer, clean_environment

RECORD: dict[str, Any] = {
    "id": "acme-ghcr",
    "registry": "GHCR.io/acme",
    "type": "basic",
    "enable_ci": True,
    "creds": {
        "username": "bot",
        "password": 'p"ä ß\\',
        "expires": "2030-06-22T09:37:23.523Z",
    },
    "secrets": {
        "*": {"namespace": "pull-secrets", "secret": "ghcr"},
        "eu-1": {"namespace": "pull-secrets", "secret": "ghcr-eu"},
    },
}
ONE = {"orgId": "acme", "regId": "acme-ghcr"}
LIST = "orgsOrgIdRegistriesGet"
POST = "orgsOrgIdRegistriesPost"
GET = "orgsOrgIdRegistriesRegIdGet"
PATCH = "orgsOrgIdRegistriesRegIdPatch"
DELETE = "orgsOrgIdRegistriesRegIdDelete"
CREDS = "orgsOrgIdRegistriesRegIdCredsGet"


class Calls(Protocol):
    """Makes calls, one after another, and returns what became of each."""

    def __call__(
        self, *calls: tuple[str, dict[str, Any]], url: str = ..., token: str = ...
    ) -> list[dict[str, Any]]: ...


@pytest.fixture(scope="module")
def calls(pullpass: PullpassServer, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    folder: Path = tmp_path_factory.mktemp("node")
    node = install_autogen(folder)

    def make(
        *calls: tuple[str, dict[str, Any]],
        url: str = pullpass.url,
        token: str = pullpass.admin_token,
    ) -> list[dict[str, Any]]:
        done = subprocess.run(
            [node, "call.mjs"],
            cwd=folder,
            env=clean_environment({"PULLPASS_URL": url, "PULLPASS_TOKEN": token}),
            input=json.dumps(calls),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outcomes: list[dict[str, Any]] = json.loads(done.stdout)
        return outcomes

    return make


def test_every_call_resolves_and_every_field_is_parsed(calls: Calls) -> None:
    made, listed, got, creds, changed, cleared, gone, after = calls(
        (POST, {"orgId": "acme", "RegistryRequest": RECORD}),
        (LIST, {"orgId": "acme"}),
        (GET, ONE),
        (CREDS, ONE),
        (PATCH, {**ONE, "RegistryRequest": {"enable_ci": False}}),
        (PATCH, {**ONE, "RegistryRequest": {**RECORD, "secrets": {}}}),
        (DELETE, ONE),
        (LIST, {"orgId": "acme"}),
    )
    record = made["value"]
    assert record == {
        "id": "acme-ghcr",
        "registry": "GHCR.io/acme",
        "type": "basic",
        "enable_ci": True,
        "secrets": RECORD["secrets"],
        "created_at": record["created_at"],
        "created_by": record["created_by"],
    }
    assert record["created_at"].endswith("Z")
    assert record in listed["value"]
    assert got["value"] == record
    assert creds["value"] == {"registry": "GHCR.io/acme", **RECORD["creds"]} | {
        "secrets": RECORD["secrets"]
    }
    assert changed["value"] == {**record, "enable_ci": False}
    assert cleared["value"]["enable_ci"] is True
    assert cleared["value"]["secrets"] == {}
    assert gone["value"] is None
    assert [one["id"] for one in after["value"]] == ["company"]
    # The client's own check of an answer.
    assert all(outcome["whole"] for outcome in (made, listed, got, changed, cleared, after))


def test_every_type_of_record_of_the_original_is_taken(calls: Calls) -> None:
    given: list[dict[str, Any]] = [
        {"id": "t-public", "registry": "public.example", "type": "public"},
        {"id": "t-basic", "registry": "b.example", "type": "basic", "creds": creds_of("bot", "x")},
        {"id": "t-copied", "registry": "c.example", "type": "secret_ref", **one_secret()},
        {
            "id": "t-amazon",
            "registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "type": "amazon_ecr",
            "creds": creds_of("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        },
        {
            "id": "t-google",
            "registry": "gcr.io/acme",
            "type": "google_gcr",
            "creds": creds_of("_json_key", service_account_key()),
        },
    ]
    outcomes = calls(*((POST, {"orgId": "acme", "RegistryRequest": record}) for record in given))
    assert [outcome["value"]["type"] for outcome in outcomes] == [each["type"] for each in given]
    assert [outcome["value"]["enable_ci"] for outcome in outcomes] == [False] * len(given)
    public, copied = calls(
        (CREDS, {"orgId": "acme", "regId": "t-public"}),
        (CREDS, {"orgId": "acme", "regId": "t-copied"}),
    )
    assert public["value"] == {"registry": "public.example"}
    assert copied["value"] == {"registry": "c.example", **one_secret()}


def creds_of(username: str, password: str) -> dict[str, str]:
    return {"username": username, "password": password}


def one_secret() -> dict[str, Any]:
    return {"secrets": {"*": {"namespace": "pull-secrets", "secret": "copied"}}}


def test_errors_surface_as_the_client_has_them(calls: Calls) -> None:
    public = {"id": "taken", "registry": "taken.example", "type": "public"}
    company = {"orgId": "acme", "regId": "company"}
    outcomes = calls(
        (POST, {"orgId": "acme", "RegistryRequest": public}),
        (POST, {"orgId": "acme", "RegistryRequest": public}),
        (POST, {"orgId": "acme", "RegistryRequest": {**public, "id": "Bad", "type": "basic"}}),
        (GET, {"orgId": "acme", "regId": "nope"}),
        (GET, {"orgId": "elsewhere", "regId": "taken"}),
        (GET, {"orgId": "acme", "regId": "a/b?c#d"}),
        (PATCH, {"orgId": "acme", "regId": "taken", "RegistryRequest": {"id": "other"}}),
        (PATCH, {**company, "RegistryRequest": {"enable_ci": True}}),
        (DELETE, company),
        (DELETE, {"orgId": "acme", "regId": "nope"}),
    )
    assert "error" not in outcomes[0]
    refused = outcomes[1:]
    assert {outcome["error"] for outcome in refused} == {"ResponseError"}
    assert [outcome["status"] for outcome in refused] == [
        *(409, 400, 404, 404, 404),
        *(400, 403, 403, 404),
    ]
    for outcome in refused:
        assert outcome["body"]["error"].endswith(".")
        assert outcome["body"]["code"]
    problems = {problem["field"] for problem in refused[1]["body"]["details"]["fields"]}
    assert problems == {"id", "creds"}


def test_a_wrong_token_is_a_401_and_not_a_failure_to_read_it(calls: Calls) -> None:
    [outcome] = calls((LIST, {"orgId": "acme"}), token="ppt_unknown")
    assert (outcome["error"], outcome["status"]) == ("ResponseError", 401)
    assert outcome["body"]["code"] == "malformed_token"


def test_a_slash_at_the_end_of_the_address_does_no_harm(
    calls: Calls, pullpass: PullpassServer
) -> None:
    """The client then asks for //orgs/…."""
    record = {"id": "slashed", "registry": "slash.example", "type": "public"}
    one = {"orgId": "acme", "regId": "slashed"}
    outcomes = calls(
        (POST, {"orgId": "acme", "RegistryRequest": record}),
        (LIST, {"orgId": "acme"}),
        (GET, one),
        (PATCH, {**one, "RegistryRequest": record | {"enable_ci": True}}),
        (CREDS, one),
        (DELETE, one),
        ("getCurrentUser", {}),
        url=f"{pullpass.url}/",
    )
    assert [outcome.get("error") for outcome in outcomes] == [None] * 7


def test_the_rest_of_what_is_compatible(calls: Calls) -> None:
    [user] = calls(("getCurrentUser", {}))
    assert user["value"]["roles"] == {"/orgs/acme": "admin"}
    own = {"userId": user["value"]["id"]}
    token = {"id": "from-autogen", "type": "static", "description": "Of a test"}
    issued, listed, got, gone, organizations = calls(
        ("createUserToken", {**own, "TokenDefinitionRequest": token}),
        ("listUserTokens", own),
        ("getUserToken", {**own, "tokenId": "from-autogen"}),
        ("deleteUserToken", {**own, "tokenId": "from-autogen"}),
        ("listOrganizations", {}),
    )
    assert issued["value"]["token"].startswith("ppt_")
    assert got["value"] in listed["value"]
    assert got["value"]["description"] == "Of a test"
    assert gone["value"] is None
    assert [each["id"] for each in organizations["value"]] == ["acme"]
