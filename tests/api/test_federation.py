"""CI without stored tokens: trust rules, and an identity token for a token of Pullpass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pullpass.broker.federation import MOST_REFUSED
from pullpass.domain.token import is_well_formed
from tests.api.conftest import Api, open_api
from tests.parts.oidc import IssuerServer, new_key

RULES = "/orgs/acme/trust-rules"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer() as running:
        yield running


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async for found in open_api(tmp_path / "data", allow_networks="127.0.0.0/8"):
        yield found


def a_rule(issuer: IssuerServer, /, **changes: object) -> dict[str, object]:
    return {
        "id": "github",
        "issuer": issuer.name,
        "claims": {"repository": "acme/app", "ref": ["refs/heads/main", "refs/tags/*"]},
        "role": "puller",
        **changes,
    }


async def trust(api: Api, server: IssuerServer, /, **changes: object) -> dict[str, Any]:
    made = await api.call("POST", RULES, json=a_rule(server, **changes))
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


async def exchange(api: Api, token: str, **changes: str | None) -> httpx.Response:
    form = {
        "grant_type": GRANT,
        "subject_token": token,
        "subject_token_type": JWT,
        "audience": "acme",
    } | changes
    given = {name: value for name, value in form.items() if value is not None}
    return await api.call("POST", "/token", None, data=given)


async def exchanged(api: Api, token: str, **changes: str) -> str:
    answer = await exchange(api, token, **changes)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def assert_refused(api: Api, token: str, **changes: str) -> None:
    answer = await exchange(api, token, **changes)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == answer.json()["code"] == "invalid_grant"


async def test_a_job_gets_a_short_lived_token_and_with_it_a_credential(
    api: Api, issuer: IssuerServer
) -> None:
    rule = await trust(api, issuer)
    assert (rule["audience"], rule["lifetime"]) == ("pullpass:acme", 900)
    creds = {"username": "bot", "password": "secret"}
    await api.create(id="ghcr", registry="ghcr.io", type="basic", creds=creds)

    answer = await exchange(api, issuer.token())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.pop("access_token")
    assert body == {
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "github",
    }
    token = answer.json()["access_token"]
    assert is_well_formed(token)

    found = await api.call("GET", "/orgs/acme/image-creds", token, params={"image": "ghcr.io/a"})
    assert found.json()["password"] == "secret"
    profile = (await api.call("GET", "/current-user", token)).json()
    assert (profile["id"], profile["name"]) == (rule["user_id"], "trust:github")
    assert (profile["type"], profile["roles"]) == ("system", {"/orgs/acme": "puller"})
    [info] = (await api.call("GET", f"/users/{rule['user_id']}/tokens")).json()
    assert info["subject"] == "repo:acme/app:ref:refs/heads/main"
    assert info["expires_at"] > info["created_at"]


async def test_an_id_token_type_and_a_rule_of_choice(api: Api, issuer: IssuerServer) -> None:
    await trust(api, issuer, id="aaa-reader", role="reader")
    await trust(api, issuer, lifetime=60)
    first = await exchange(
        api, issuer.token(), subject_token_type="urn:ietf:params:oauth:token-type:id_token"
    )
    assert first.json()["scope"] == "aaa-reader"
    chosen = await exchange(api, issuer.token(), scope="github")
    assert (chosen.json()["scope"], chosen.json()["expires_in"]) == ("github", 60)
    await assert_refused(api, issuer.token(), scope="no-such-rule")


async def test_who_asks_learns_nothing_of_organizations_and_rules(
    api: Api, issuer: IssuerServer
) -> None:
    await trust(api, issuer)
    good = issuer.token()
    answers = [
        await exchange(api, good, audience="rival"),
        await exchange(api, good, audience="acme\0"),
        await exchange(api, good, audience="x" * 5000),
        await exchange(api, issuer.token(repository="acme/other")),
        await exchange(api, issuer.token(iss="https://elsewhere.example")),
        await exchange(api, issuer.token(key=new_key())),
        await exchange(api, issuer.token(exp=1)),
        await exchange(api, "nonsense"),
        await exchange(api, "a.b.c"),
    ]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert {answer.status_code for answer in answers} == {400}
    assert answers[0].json()["code"] == "invalid_grant"


async def test_an_address_whose_tokens_are_refused_all_the_time_is_refused_for_a_while(
    api: Api, issuer: IssuerServer
) -> None:
    await trust(api, issuer)
    for _ in range(MOST_REFUSED - 1):
        await assert_refused(api, "a.b.c")
    await exchanged(api, issuer.token())
    await assert_refused(api, "a.b.c")
    answer = await exchange(api, issuer.token())
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert answer.json()["error"] == "temporarily_unavailable"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    # Whoever has a token is not held up.
    assert (await api.call("GET", "/current-user")).status_code == 200


async def test_no_issuer_is_asked_before_a_rule_would_take_the_token(
    api: Api, issuer: IssuerServer
) -> None:
    await assert_refused(api, issuer.token())
    await trust(api, issuer)
    for wrong in (
        {"repository": "evil/app"},
        {"aud": "pullpass:rival"},
        {"exp": 1},
        {"ref": None},
    ):
        await assert_refused(api, issuer.token(**wrong))
    assert issuer.calls == []
    await exchanged(api, issuer.token())
    assert issuer.asked() == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"audience": ""}, "invalid_request"),
        ({"resource": "https://acme.example"}, "invalid_target"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
    ],
)
async def test_a_request_that_is_wrong_is_told_so_as_oauth_has_it(
    api: Api, changes: dict[str, str | None], error: str
) -> None:
    answer = await exchange(api, "token", **changes)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error", "error_description", "code"}
    assert answer.json()["error"] == error
    # RFC 6749 section 5.2: what a description may hold.
    assert not set(answer.json()["error_description"]) & {'"', "\\"}
    assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_is_no_form_or_too_large(api: Api) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for content, headers in (
        (b"{}", {"content-type": "application/json"}),
        (b"{}", {}),
        (b"\xff=%ff", form),
        (b"audience=%ff", form),
        (b"&".join(b"a%d=1" % number for number in range(100)), form),
        (b"audience=acme&audience=rival", form),
    ):
        answer = await api.call("POST", "/token", None, content=content, headers=headers)
        assert answer.status_code == 400, content
        assert answer.json()["error"] in ("invalid_request", "invalid_target")
    large = await exchange(api, "x" * 100_000)
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert large.json()["error"] == "invalid_request"
    await assert_refused(api, "x" * 20_000)


async def test_an_issuer_that_is_down_is_no_refusal(api: Api, issuer: IssuerServer) -> None:
    await trust(api, issuer)
    issuer.stop()
    try:
        answer = await exchange(api, issuer.token())
    finally:
        issuer.start()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"] == "temporarily_unavailable"
    assert answer.json()["code"] == "issuer_unavailable"


async def test_the_limit_to_records_holds_wherever_a_credential_is_handed_out(
    api: Api, issuer: IssuerServer
) -> None:
    for name, ci in (("team-a", True), ("team-b", False), ("other", True)):
        creds = {"username": "bot", "password": name}
        await api.create(
            id=name, registry=f"{name}.example", type="basic", creds=creds, enable_ci=ci
        )
    await trust(api, issuer, role="ci", registries=["team-*"])
    token = await exchanged(api, issuer.token())

    async def codes(name: str) -> list[str | None]:
        answers = [
            await api.call("GET", f"/orgs/acme/{path}", token)
            for path in (
                f"image-creds?image={name}.example/app",
                f"host-creds?host={name}.example",
                f"registries/{name}/creds",
            )
        ]
        return [answer.json().get("code") for answer in answers]

    assert await codes("team-a") == [None] * 3
    assert await codes("team-b") == ["ci_not_enabled"] * 3
    assert await codes("other") == ["registry_not_granted"] * 3


async def test_such_a_token_makes_no_other_and_changes_nothing_of_itself(
    api: Api, issuer: IssuerServer
) -> None:
    rule = await trust(api, issuer, role="editor")
    token = await exchanged(api, issuer.token())
    user = rule["user_id"]
    body = {"id": "more", "type": "static"}
    assert (await api.call("POST", f"/users/{user}/tokens", token, json=body)).status_code == 403
    assert (await api.call("PATCH", "/current-user", token, json={"name": "x"})).status_code == 403
    assert (await api.call("GET", RULES, token)).status_code == 403
    # Nor does an administrator, but by the rule; a single token can be ended.
    for method, path, content in (
        ("POST", f"/users/{user}/tokens", body),
        ("PATCH", f"/orgs/acme/users/{user}", {"role": "admin"}),
        ("DELETE", f"/orgs/acme/users/{user}", None),
    ):
        answer = await api.call(method, path, json=content)
        assert (answer.status_code, answer.json()["code"]) == (403, "managed_user"), path
    [info] = (await api.call("GET", f"/users/{user}/tokens")).json()
    assert (await api.call("DELETE", f"/users/{user}/tokens/{info['id']}")).status_code == 204
    assert (await api.call("GET", "/current-user", token)).status_code == 401


async def test_a_changed_or_deleted_rule_ends_its_tokens(api: Api, issuer: IssuerServer) -> None:
    rule = await trust(api, issuer)
    token = await exchanged(api, issuer.token())
    changed = await api.call("PATCH", f"{RULES}/github", json={"role": "cluster", "cluster": "eu"})
    assert changed.status_code == 200
    assert changed.json() == {**rule, "role": "cluster", "cluster": "eu"}
    assert (await api.call("GET", "/current-user", token)).status_code == 401
    token = await exchanged(api, issuer.token())
    roles = (await api.call("GET", "/current-user", token)).json()["roles"]
    assert roles == {"/orgs/acme": "cluster"}
    back = await api.call("PATCH", f"{RULES}/github", json={"role": "ci", "registries": ["ghcr"]})
    assert "cluster" not in back.json()
    assert back.json()["registries"] == ["ghcr"]

    token = await exchanged(api, issuer.token())
    assert (await api.call("DELETE", f"{RULES}/github")).status_code == 204
    assert (await api.call("GET", "/current-user", token)).status_code == 401
    await assert_refused(api, issuer.token())
    assert (await api.call("GET", f"{RULES}/github")).json()["code"] == "trust_rule_not_found"
    users = (await api.call("GET", "/orgs/acme/users")).json()
    assert [user["type"] for user in users] == ["user"]


async def test_rules_are_listed_read_and_not_made_twice(api: Api, issuer: IssuerServer) -> None:
    assert (await api.call("GET", RULES)).json() == []
    rule = await trust(api, issuer, audience="mine", cluster="eu", role="cluster")
    assert rule["claims"] == {"repository": ["acme/app"], "ref": ["refs/heads/main", "refs/tags/*"]}
    assert (await api.call("GET", RULES)).json() == [rule]
    assert (await api.call("GET", f"{RULES}/github")).json() == rule
    twin = await api.call("POST", RULES, json=a_rule(issuer))
    assert (twin.status_code, twin.json()["code"]) == (409, "trust_rule_id_taken")
    # What was read can be sent back.
    same = await api.call("PATCH", f"{RULES}/github", json=rule)
    assert (same.status_code, same.json()) == (200, rule)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "No"}, "id"),
        ({"issuer": "issuer.example"}, "issuer"),
        ({"issuer": "http://issuer.example"}, "issuer"),
        ({"issuer": "http://8.8.8.8"}, "issuer"),
        ({"issuer": "https://user:pw@issuer.example"}, "issuer"),
        ({"issuer": "https://issuer.example/?x=1"}, "issuer"),
        ({"claims": None}, "claims"),
        ({"claims": {}}, "claims"),
        ({"claims": ["sub"]}, "claims"),
        ({"claims": {"sub": 7}}, "claims.sub"),
        ({"claims": {"sub": []}}, "claims.sub"),
        ({"claims": {"sub": ["a", ""]}}, "claims.sub"),
        ({"claims": {"aud": "x"}}, "claims.aud"),
        ({"role": "admin"}, "role"),
        ({"role": "cluster"}, "cluster"),
        ({"cluster": "eu"}, "cluster"),
        ({"registries": []}, "registries"),
        ({"registries": ["a/b"]}, "registries"),
        ({"registries": ["ghcr"], "role": "reader"}, "registries"),
        ({"lifetime": 3601}, "lifetime"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": True}, "lifetime"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_rule_that_is_wrong_is_refused_by_field(
    api: Api, issuer: IssuerServer, changes: dict[str, object], field: str
) -> None:
    made = await api.call("POST", RULES, json=a_rule(issuer, **changes))
    assert made.status_code == 400
    assert [problem["field"] for problem in made.json()["details"]["fields"]] == [field]
    if field != "id":
        await trust(api, issuer)
        patched = await api.call("PATCH", f"{RULES}/github", json=changes)
        assert [problem["field"] for problem in patched.json()["details"]["fields"]] == [field]


async def test_a_public_issuer_needs_a_claim_that_is_yours(api: Api, issuer: IssuerServer) -> None:
    body = a_rule(issuer, claims={"ref": "refs/heads/main"})
    body["issuer"] = "https://token.actions.githubusercontent.com"
    made = await api.call("POST", RULES, json=body)
    assert made.status_code == 400
    assert "repository_owner" in made.json()["error"]
    assert (
        await api.call("POST", RULES, json=body | {"claims": {"repository": "acme/*"}})
    ).status_code == 201


async def test_a_token_can_be_tried_without_getting_one(api: Api, issuer: IssuerServer) -> None:
    await trust(api, issuer)
    await trust(api, issuer, id="other", claims={"repository": "acme/other"})

    async def tried(token: str) -> dict[str, Any]:
        answer = await api.call("POST", f"{RULES}/actions/test", json={"token": token})
        assert answer.status_code == 200, answer.text
        assert token not in answer.text
        found: dict[str, Any] = answer.json()
        return found

    good = await tried(issuer.token())
    assert (good["ok"], good["rule"]) == (True, "github")
    assert [rule["matches"] for rule in good["rules"]] == [True, False]
    assert "'acme/other'" in good["rules"][1]["reason"]
    forged = await tried(issuer.token(key=new_key()))
    assert (forged["ok"], "signature" in forged["problem"]) == (False, True)
    assert "expired" in (await tried(issuer.token(exp=1)))["problem"]
    assert "no rule" in (await tried(issuer.token(aud="x")))["problem"]
    empty = await api.call("POST", f"{RULES}/actions/test", json={})
    assert empty.json()["details"]["fields"][0]["field"] == "token"


async def test_the_audit_log_says_whose_identity_token_it_was(
    api: Api, issuer: IssuerServer
) -> None:
    rule = await trust(api, issuer)
    token = await exchanged(api, issuer.token())
    await api.call("GET", "/orgs/acme/image-creds?image=quay.io/x", token)
    read, exchange_, *_ = (await api.call("GET", "/orgs/acme/audit-logs")).json()
    assert (exchange_["action"], exchange_["subject_id"]) == ("token.exchange", "github")
    assert exchange_["request_path"] == "/token"
    for entry in (read, exchange_):
        assert entry["user_id"] == rule["user_id"]
        assert entry["token_subject"] == "repo:acme/app:ref:refs/heads/main"
    assert read["token_id"] == exchange_["token_id"]
    assert token not in str(exchange_)
