"""Tokens that are not the caller's own, or no longer, or not quite; and ids of others."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from pullpass.api.routes import OPERATIONS
from pullpass.domain.access import Action
from pullpass.server import founding
from tests.api.conftest import Api, options_for
from tests.api.test_access import path_of


async def in_rival(api: Api) -> str:
    """The token of an administrator of another organization, which has a record."""
    founded = await founding.found(options_for(api.data_dir), "rival", "Rival")
    token = founded.token.reveal()
    creds = {"username": "bot", "password": "rival-canary-77"}
    body = {"id": "theirs", "registry": "ghcr.io/rival", "type": "basic", "creds": creds}
    made = await api.call("POST", "/orgs/rival/registries", token, json=body)
    assert made.status_code == 201, made.text
    return token


async def test_another_organizations_ids_answer_as_if_they_were_nobodys(api: Api) -> None:
    token = await in_rival(api)
    theirs = (await api.call("GET", "/current-user", token)).json()["id"]
    nobody = "00000000-0000-4000-8000-000000000000"
    for method, path in (
        ("GET", "/orgs/acme/registries/{}"),
        ("GET", "/orgs/acme/registries/{}/creds"),
        ("PATCH", "/orgs/acme/registries/{}"),
        ("DELETE", "/orgs/acme/registries/{}"),
        ("POST", "/orgs/acme/registries/{}/actions/check"),
        ("GET", "/orgs/acme/users/{}"),
        ("PATCH", "/orgs/acme/users/{}"),
        ("DELETE", "/orgs/acme/users/{}"),
        ("GET", "/users/{}/tokens"),
        ("POST", "/users/{}/tokens"),
        ("DELETE", "/users/{}/tokens/first"),
    ):
        of_records = "registries" in path
        real, made_up = ("theirs", "nothing") if of_records else (theirs, nobody)
        body = {"id": "x", "type": "static", "enable_ci": True, "role": "admin"}
        options: dict[str, Any] = {} if method in ("GET", "DELETE") else {"json": body}
        found = await api.call(method, path.format(real), **options)
        unknown = await api.call(method, path.format(made_up), **options)
        assert found.status_code >= 400, path
        assert found.status_code == unknown.status_code, path
        assert found.text.replace(real, "?") == unknown.text.replace(made_up, "?"), path
        assert "canary" not in found.text
    kept = await api.call("GET", "/orgs/rival/registries/theirs/creds", token)
    assert kept.json()["password"] == "rival-canary-77"
    answer = await api.call("GET", "/orgs/acme/image-creds?image=ghcr.io/rival/app")
    assert answer.status_code == 404


async def test_nothing_in_another_organization_answers_its_neighbours(api: Api) -> None:
    await in_rival(api)
    for operation in OPERATIONS:
        if isinstance(operation.access, Action):
            answer = await api.call(operation.method, path_of(operation, "rival"))
            assert (answer.status_code, answer.json()["code"]) == (404, "organization_not_found")


async def test_the_tokens_of_a_deleted_user_end_with_them(api: Api) -> None:
    token = await api.token_for("admin")
    user = (await api.call("GET", "/current-user", token)).json()["id"]
    assert (await api.call("GET", "/orgs/acme/registries", token)).status_code == 200
    gone = await api.call("DELETE", f"/orgs/acme/users/{user}")
    assert gone.status_code == 204
    for path in ("/current-user", "/orgs/acme/registries", "/orgs/acme/image-creds?image=nginx"):
        answer = await api.call("GET", path, token)
        assert answer.status_code in (401, 404), path
        assert "user" not in answer.text or answer.status_code == 401
    # Nor do they come back by themselves.
    made = await api.call(
        "POST", f"/users/{user}/tokens", token, json={"id": "b", "type": "static"}
    )
    assert made.status_code in (401, 403, 404)


async def test_a_smaller_role_takes_effect_at_once(api: Api) -> None:
    token = await api.token_for("admin")
    user = (await api.call("GET", "/current-user", token)).json()["id"]
    changed = await api.call("PATCH", f"/orgs/acme/users/{user}", json={"role": "reader"})
    assert changed.status_code == 200, changed.text
    answer = await api.call("DELETE", "/orgs/acme/registries/anything", token)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    # And nobody raises their own.
    raised = await api.call("PATCH", f"/orgs/acme/users/{user}", token, json={"role": "admin"})
    assert raised.status_code == 403


async def test_a_token_that_has_ended_is_told_so_and_let_nowhere(api: Api) -> None:
    user = (await api.call("GET", "/current-user")).json()["id"]
    soon = (datetime.now(UTC) + timedelta(milliseconds=300)).isoformat().replace("+00:00", "Z")
    body = {"id": "short", "type": "static", "expires_at": soon}
    made = await api.call("POST", f"/users/{user}/tokens", json=body)
    if made.status_code == 400:
        # This machine was too slow: it had ended before it was there.
        return
    token = made.json()["token"]
    while (answer := await api.call("GET", "/current-user", token)).status_code == 200:
        pass
    assert (answer.status_code, answer.json()["code"]) == (401, "expired_token")
    assert (await api.call("GET", "/orgs/acme/registries", token)).status_code == 401


async def test_a_token_with_one_character_changed_is_none(api: Api) -> None:
    random_ = random.Random(20)
    token = api.admin_token
    for _ in range(200):
        place = random_.randrange(len(token))
        other = random_.choice([c for c in "abcXYZ019_-" if c != token[place]])
        changed = token[:place] + other + token[place + 1 :]
        answer = await api.call("GET", "/current-user", changed)
        # Its checksum gives it away: nothing is looked up, and nothing counted.
        assert (answer.status_code, answer.json()["code"]) == (401, "malformed_token"), changed


async def test_a_token_with_something_around_it_gains_nothing(api: Api) -> None:
    for around in (" {}", "{} ", "{}\t"):
        assert await status_with(api, around) in (200, 401)
    for around in ("{0},{0}", '"{}"', "{}\u00e4", "Bearer {}", "{} x"):
        assert await status_with(api, around) == 401, around


async def status_with(api: Api, around: str) -> int:
    header = f"Bearer {around.format(api.admin_token)}".encode("latin-1")
    answer = await api.http.get("/current-user", headers={b"Authorization": header})
    return answer.status_code
