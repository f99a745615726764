"""`actions/check`: a stored credential, tried at real registries on this machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pullpass.domain.identity import Role
from tests.api.conftest import Api, open_api
from tests.parts.ports import free_port
from tests.parts.registry import DockerRegistry, docker_registry
from tests.parts.server import pullpass_server
from tests.parts.token_server import token_server
from tests.parts.wire import Scripted, wire_server
from tests.test_secrets_never_leak import assert_absent

RIGHT = "canary-right-71d0"
WRONG = "canary-wrong-93be"
USERS = {"bot": RIGHT}
BASIC = Scripted(401, headers={"WWW-Authenticate": 'Basic realm="x"'})


@pytest.fixture
async def allowed(tmp_path: Path) -> AsyncIterator[Api]:
    """A server that may connect to this machine, IPv4 alone."""
    async for found in open_api(tmp_path / "data", allow_networks="127.0.0.0/8"):
        yield found


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A registry over plain HTTP with the image `team/app:1`."""
    with docker_registry(tmp_path_factory.mktemp("registry"), users=USERS) as running:
        running.push_tiny_image("team/app", "1")
        yield running


async def record(
    api: Api, registry: str, password: str | None = RIGHT, record_id: str = "team", **fields: Any
) -> None:
    if password is not None:
        fields["creds"] = {"username": "bot", "password": password}
    fields = {"type": "basic", **fields}
    made = await api.create(id=record_id, registry=registry, **fields)
    assert made.status_code == 201, made.text


async def check(api: Api, record_id: str = "team", **body: str) -> dict[str, Any]:
    answer = await post(api, record_id, json=body)
    assert answer.status_code == 200, answer.text
    assert RIGHT not in answer.text
    assert WRONG not in answer.text
    found: dict[str, Any] = answer.json()
    assert set(found) == {"ok", "code", "message", "checked_at", "steps"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["checked_at"])
    assert found["ok"] is (found["code"] == "ok")
    for step in found["steps"]:
        assert step["milliseconds"] >= 0
    if not found["ok"] and found["steps"]:
        assert found["steps"][-1]["message"] == found["message"]
    return found


async def post(api: Api, record_id: str = "team", **options: Any) -> httpx.Response:
    path = f"/orgs/acme/registries/{record_id}/actions/check"
    return await api.call("POST", path, **options)


def names(found: dict[str, Any]) -> list[str]:
    return [step["name"] for step in found["steps"]]


async def test_a_good_credential(allowed: Api, registry: DockerRegistry) -> None:
    await record(allowed, registry.address)
    found = await check(allowed)
    assert (found["code"], found["ok"]) == ("ok", True)
    # HTTPS was tried first.
    assert names(found) == ["resolve", "connect", "tls", "connect", "ping", "login"]
    assert [step["ok"] for step in found["steps"]] == [True, True, False, True, True, True]

    found = await check(allowed, repository="team/app")
    assert (found["code"], names(found)[-1]) == ("ok", "repository")
    assert "'team/app' can be pulled" in found["message"]
    assert (await check(allowed, image=f"{registry.address}/team/app:1"))["ok"]
    # No body at all is no wish.
    assert (await post(allowed)).json()["code"] == "ok"
    metrics = await allowed.call("GET", "/metrics")
    assert 'pullpass_registry_checks_total{code="ok"} 4.0' in metrics.text


async def test_a_wrong_password_and_its_correction(allowed: Api, registry: DockerRegistry) -> None:
    await record(allowed, registry.address, WRONG)
    found = await check(allowed)
    assert (found["code"], names(found)[-1]) == ("unauthorized", "login")
    assert "refused the user name and password" in found["message"]
    await allowed.call(
        "PATCH",
        "/orgs/acme/registries/team",
        json={"creds": {"username": "bot", "password": RIGHT}},
    )
    assert (await check(allowed))["ok"]


async def test_no_such_repository(allowed: Api, registry: DockerRegistry) -> None:
    await record(allowed, registry.address)
    found = await check(allowed, repository="team/nothing")
    assert (found["code"], names(found)[-1]) == ("not_found", "repository")
    assert "'team/nothing'" in found["message"]


async def test_a_certificate_that_is_not_trusted_and_then_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with docker_registry(tmp_path, users=USERS, tls=True) as registry:
        async for api in open_api(tmp_path / "one", allow_networks="127.0.0.1"):
            await record(api, registry.address)
            found = await check(api)
            assert (found["code"], names(found)) == ("tls", ["resolve", "connect", "tls"])
            assert "not trusted" in found["message"]
        assert registry.certificates is not None
        monkeypatch.setenv("SSL_CERT_FILE", str(registry.certificates.authority))
        async for api in open_api(tmp_path / "two", allow_networks="127.0.0.1"):
            await record(api, registry.address)
            found = await check(api)
            assert (found["code"], names(found)[2]) == ("ok", "tls")


async def test_a_bearer_registry(allowed: Api, tmp_path: Path) -> None:
    rights = {"bot": {"team/app", "team/empty"}}
    with (
        token_server(tmp_path / "tokens", users=USERS, rights=rights) as tokens,
        docker_registry(tmp_path, users={}, auth=tokens.registry_auth) as registry,
    ):
        await record(allowed, f"{registry.address}/team")
        found = await check(allowed)
        assert (found["code"], names(found)[-2:]) == ("ok", ["token", "login"])
        # The token held the right to pull, though there is nothing to be pulled.
        assert (await check(allowed, repository="team/empty"))["code"] == "not_found"
        assert (await check(allowed, repository="team/secret"))["code"] == "forbidden"

        await record(allowed, f"{registry.address}/other", WRONG, "wrong")
        found = await check(allowed, "wrong")
        assert (found["code"], names(found)[-1]) == ("unauthorized", "token")

        await record(allowed, registry.address, None, "anybody", type="public")
        assert (await check(allowed, "anybody"))["code"] == "ok"
        assert (await check(allowed, "anybody", repository="team/app"))["code"] == "forbidden"


async def test_nothing_listens(allowed: Api) -> None:
    port = free_port()
    await record(allowed, f"127.0.0.1:{port}")
    found = await check(allowed)
    assert found["code"] == "connect"
    assert str(port) in found["message"]


async def test_no_such_host(allowed: Api) -> None:
    await record(allowed, "no-such-registry.invalid")
    found = await check(allowed)
    assert (found["code"], names(found)) == ("name_resolution", ["resolve"])


async def test_a_rate_limit_with_its_end(allowed: Api) -> None:
    limited = Scripted(429, headers={"Retry-After": "Tue, 01 Jan 2041 12:00:00 GMT"})
    with wire_server(BASIC, limited) as server:
        await record(allowed, f"127.0.0.1:{server.port}")
        found = await check(allowed)
    assert found["code"] == "rate_limited"
    assert "2041-01-01T12:00:00.000Z" in found["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "http://127.0.0.1"])
async def test_an_internal_address_is_refused_unless_allowed(api: Api, host: str) -> None:
    with wire_server(BASIC) as server:
        await record(api, f"{host}:{server.port}")
        found = await check(api)
        assert (found["code"], names(found)) == ("address_refused", ["resolve"])
        assert "PULLPASS_ALLOW_NETWORKS" in found["message"]
        assert server.requests == []


async def test_the_allow_list_holds_what_it_names_only(allowed: Api) -> None:
    await record(allowed, "169.254.169.254")
    assert (await check(allowed))["code"] == "address_refused"


async def test_a_redirect_is_not_followed(allowed: Api) -> None:
    with wire_server() as other:
        away = Scripted(307, headers={"Location": f"{other.url}/v2/"})
        with wire_server(BASIC, away) as server:
            await record(allowed, f"127.0.0.1:{server.port}")
            found = await check(allowed)
        assert found["code"] == "protocol"
        assert "redirects to '127.0.0.1'" in found["message"]
        assert other.requests == []


async def test_a_wildcard_record_needs_an_image(allowed: Api, registry: DockerRegistry) -> None:
    port = registry.address.rpartition(":")[2]
    await record(allowed, f"*.*.*.*:{port}")
    for body in ({}, {"repository": "team/app"}):
        answer = await post(allowed, json=body)
        assert answer.status_code == 400
        (problem,) = answer.json()["details"]["fields"]
        assert problem["field"] == "registry"
        assert '"image"' in problem["expected"]
    assert (await check(allowed, image=f"{registry.address}/team/app"))["ok"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"image": "https://ghcr.io/acme/app"}, "image"),
        ({"image": ""}, "image"),
        ({"image": 1}, "image"),
        ({"image": "ghcr.io/other/app"}, "image"),
        ({"image": "quay.io/acme/app"}, "image"),
        ({"image": "ghcr.io/acmed/app"}, "image"),
        ({"repository": "other/app"}, "repository"),
        ({"repository": "acme/app:1"}, "repository"),
        ({"repository": "acme/app@sha256:" + 64 * "0"}, "repository"),
        ({"repository": "acme/../app"}, "repository"),
        ({"repository": "acme/app?x"}, "repository"),
        ({"repository": "/acme/app"}, "repository"),
        ({"repository": "acme/APP"}, "repository"),
        ({"repository": ""}, "repository"),
        ({"repository": ["acme/app"]}, "repository"),
        ({"repository": "a" * 1001}, "repository"),
        ({"repository": "acme/app", "image": "ghcr.io/acme/app"}, "repository"),
        ({"repo": "acme/app"}, "repo"),
    ],
)
async def test_a_wish_that_is_not_the_records(api: Api, body: dict[str, Any], field: str) -> None:
    await record(api, "ghcr.io/acme")
    answer = await post(api, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")
    assert [problem["field"] for problem in answer.json()["details"]["fields"]] == [field]


async def test_a_body_that_is_no_object(api: Api) -> None:
    await record(api, "ghcr.io/acme")
    for content in ("[]", "{", "null"):
        answer = await post(api, content=content)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert (await post(api, content=" " * (1024 * 1024 + 1))).status_code == 413
    assert (await post(api, "nothing")).status_code == 404


async def test_a_credential_that_is_in_the_cluster(api: Api) -> None:
    await record(
        api,
        "ghcr.io/acme",
        None,
        type="secret_ref",
        secrets={"*": {"namespace": "shared", "secret": "regcred"}},
    )
    found = await check(api)
    assert (found["code"], found["steps"]) == ("no_credential", [])


async def test_a_credential_that_cannot_be_exchanged(api: Api) -> None:
    # The region's API is asked for by name, at an address that is not allowed.
    await record(
        api,
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        None,
        type="amazon_ecr",
        creds={"username": "AKIAIOSFODNN7EXAMPLE", "password": "k" * 40},
        options={"endpoint": f"https://127.0.0.1:{free_port()}"},
    )
    found = await check(api)
    assert found["code"] == "exchange_failed"
    assert "k" * 40 not in str(found)


async def test_editors_check_though_they_read_no_credential(
    allowed: Api, registry: DockerRegistry
) -> None:
    await record(allowed, registry.address, enable_ci=True)
    for role in Role:
        token = await allowed.token_for(role)
        answer = await post(allowed, token=token)
        may = role in (Role.ADMIN, Role.EDITOR)
        assert answer.status_code == (200 if may else 403), role
        assert not may or answer.json()["ok"]


async def test_there_is_a_limit_to_how_many_run_at_once(allowed: Api) -> None:
    with wire_server(Scripted(hang=True)) as server:
        await record(allowed, f"http://127.0.0.1:{server.port}")
        tasks = [asyncio.create_task(post(allowed)) for _ in range(9)]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = (task.result() for task in done)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_checks")
        assert refused.headers["retry-after"]
        assert len(waiting) == 8
    # The registry is gone; what waited for it is told, and there is room again.
    for task in waiting:
        assert not (await task).json()["ok"]
    assert (await check(allowed))["code"] == "connect"


def test_no_password_is_in_the_log_or_in_an_answer(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    answers = []
    with (
        pullpass_server(tmp_path / "data", env=env, arguments=["--log-level", "debug"]) as server,
        wire_server(BASIC, Scripted(500)) as broken,
        wire_server(BASIC, Scripted(declared=9)) as cut,
    ):
        client = httpx.Client(
            base_url=f"{server.url}/orgs/acme/",
            headers={"Authorization": f"Bearer {server.admin_token}"},
            timeout=30,
        )
        with client:
            for number, (address, password) in enumerate(
                [
                    (registry.address, RIGHT),
                    (f"{registry.address}/team", WRONG),
                    (f"127.0.0.1:{broken.port}", RIGHT),
                    (f"127.0.0.1:{cut.port}", RIGHT),
                ]
            ):
                creds = {"username": "bot", "password": password}
                fields = {"id": f"record-{number}", "registry": address, "type": "basic"}
                assert client.post("registries", json={**fields, "creds": creds}).status_code == 201
                answers.append(client.post(f"registries/record-{number}/actions/check"))
        server.stop()
        codes = [answer.json()["code"] for answer in answers]
        assert codes == ["ok", "unauthorized", "protocol", "protocol"]
        for answer in answers:
            assert_absent(answer.content, "an answer", (RIGHT, WRONG))
        assert '"operation": "checkRegistry"' in server.log_text()
        assert_absent(server.log_text(), "the log", (RIGHT, WRONG))


async def test_the_last_result_stands_on_the_record(allowed: Api, registry: DockerRegistry) -> None:
    await record(allowed, registry.address)
    path = "/orgs/acme/registries"
    made = (await allowed.call("GET", f"{path}/team")).json()
    assert "status" not in made
    found = await check(allowed)
    expected = {name: found[name] for name in ("ok", "code", "message", "checked_at")}
    answer = await allowed.call("GET", f"{path}/team")
    assert answer.json() == made | {"status": expected | {"since": found["checked_at"]}}
    listed = (await allowed.call("GET", path)).json()
    assert [item["status"] for item in listed] == [answer.json()["status"]]

    again = await check(allowed)
    status = (await allowed.call("GET", f"{path}/team")).json()["status"]
    assert (status["checked_at"], status["since"]) == (again["checked_at"], found["checked_at"])

    # What was read can be written back; the new version was never checked.
    etag = {"If-Match": answer.headers["ETag"]}
    written = await allowed.call("PATCH", f"{path}/team", json=answer.json(), headers=etag)
    assert written.status_code == 200, written.text
    assert "status" not in written.json()
    assert "status" not in (await allowed.call("GET", f"{path}/team")).json()


async def test_the_status_of_a_built_in_record(tmp_path: Path, registry: DockerRegistry) -> None:
    (tmp_path / "pullpass.toml").write_text(
        f'[[registries]]\nid = "company"\nregistry = "{registry.address}"\ntype = "basic"\n'
        f'creds = {{ username = "bot", password = "{WRONG}" }}\n'
    )
    options = {"allow_networks": "127.0.0.0/8", "config": str(tmp_path / "pullpass.toml")}
    async for api in open_api(tmp_path / "data", **options):
        found = await check(api, "company")
        assert found["code"] == "unauthorized"
        listed = (await api.call("GET", "/orgs/acme/registries")).json()
        assert listed[0]["status"]["code"] == "unauthorized"
        assert listed[0]["status"]["since"] == found["checked_at"]
