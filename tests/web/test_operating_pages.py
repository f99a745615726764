"""Clusters, import, export, forms whose session had ended, and what goes over the wire."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from pullpass.web.keeping import may_be_kept
from pullpass.web.routes import PAGES
from tests.web.test_pages import MARKUP, path_of
from tests.web.visitor import HOME, Visitor

SECRET = "canary-web-import-40d2"


def report(revision: int = 0, **record: object) -> dict[str, object]:
    found: dict[str, object] = {"id": "ghcr", "secrets": 3, "pending": 0, "failed": 0, **record}
    return {
        "version": "9.9",
        "mode": "needed",
        "revision": revision,
        "namespaces": 3,
        "registries": [found],
    }


async def tell(admin: Visitor, cluster: str, body: dict[str, object]) -> None:
    answer = await admin.api.call("PUT", f"/orgs/acme/clusters/{cluster}/status", json=body)
    assert answer.status_code == 200, answer.text


async def test_many_failures_are_paged_and_found(admin: Visitor) -> None:
    problems = [
        {"namespace": f"team-{number:03}", "code": "secret_taken", "message": MARKUP}
        for number in range(100)
    ]
    failing = report(failed=10_000, problems=problems, held_in=["web", "shop"])
    await tell(admin, "eu-1", failing)
    first = (await admin.get(f"{HOME}/clusters/eu-1")).text
    assert "1 to 50 of 100" in first
    assert "9900 more are not listed" in first
    assert "team-050" not in first
    assert "<img src=x" not in first
    following = re.search(rf'href="({HOME}/clusters/eu-1\?problems=2)"', first)
    assert following is not None
    assert "team-050" in (await admin.get(following[1])).text
    found = (await admin.get(f"{HOME}/clusters/eu-1?q=TEAM-07&state=failed")).text
    assert "team-070" in found
    assert "team-069" not in found
    for query in ("problems=999&records=-1", "records=x", urlencode({"q": MARKUP, "state": "x"})):
        assert (await admin.get(f"{HOME}/clusters/eu-1?{query}")).status_code == 200
    assert (await admin.get(f"{HOME}/clusters/nowhere")).status_code == 404


async def test_a_cluster_token_sees_its_own_cluster_alone(admin: Visitor) -> None:
    await tell(admin, "eu-1", report())
    await tell(admin, "us-1", report())
    agent = Visitor(admin.api)
    await agent.sign_in(await admin.api.token_for("cluster", "eu-1"))
    page = (await agent.get(f"{HOME}/clusters")).text
    assert "eu-1" in page
    assert "us-1" not in page
    assert (await agent.get(f"{HOME}/clusters/us-1")).status_code == 404


def config(**auths: str) -> str:
    entries = {
        registry.replace("_", "."): {"auth": base64.b64encode(login.encode()).decode()}
        for registry, login in auths.items()
    }
    return json.dumps({"auths": entries, "credHelpers": {"eu.gcr.io": MARKUP}})


async def test_an_import_shows_its_plan_and_no_secret(admin: Visitor) -> None:
    for record, password in (("same", SECRET), ("other", "another")):
        creds = {"username": "bot", "password": password}
        registry = f"{record}.example.com"
        await admin.api.create(id=record, registry=registry, type="basic", creds=creds)
    # Somebody else's record has the name that the new one would get.
    await admin.api.create(id="taken-example-com", registry="elsewhere.example.com", type="public")
    login = f"bot:{SECRET}"
    text = config(taken_example_com=login)
    answer = await admin.post(f"{HOME}/import", {"config": text})
    assert re.search(r">taken-example-com-[0-9a-f]{8} <", answer.text.replace("<td>", ">"))
    text = config(new_example_com=login, same_example_com=login, other_example_com=login)
    answer = await admin.post(f"{HOME}/import", {"config": text})
    assert answer.status_code == 200
    shown = re.sub(r"<[^>]+>", " ", answer.text)
    assert "1 new, 1 there already, 1 that differs, 1 skipped" in " ".join(shown.split())
    assert "the record has another credential" in answer.text
    encoded = base64.b64encode(login.encode()).decode()
    for secret in (SECRET, encoded, "<script>"):
        assert secret not in answer.text
    plan = re.search(r'name="plan" value="([^"]+)"', answer.text)
    assert plan is not None
    assert SECRET.encode() not in base64.urlsafe_b64decode(plan[1])

    # For another session it is nothing.
    other = Visitor(admin.api)
    await other.sign_in(admin.api.admin_token)
    refused = await other.post(f"{HOME}/import/confirm", {"plan": plan[1]})
    assert refused.status_code == 400
    assert "in another session" in refused.text
    assert (await admin.post(f"{HOME}/import/confirm", {"plan": "AAAA"})).status_code == 400

    done = await admin.post(f"{HOME}/import/confirm", {"plan": plan[1], "enable_ci": "on"})
    assert "1 of 1 record was created" in done.text
    stored = (await admin.api.call("GET", "/orgs/acme/registries/new-example-com")).json()
    assert stored["enable_ci"] is True
    creds = (await admin.api.call("GET", "/orgs/acme/registries/new-example-com/creds")).json()
    assert creds["password"] == SECRET
    again = await admin.post(f"{HOME}/import/confirm", {"plan": plan[1]})
    assert "There is a registry record with the id" in again.text


async def test_who_may_not_read_credentials_does_not_learn_them_by_an_import(
    admin: Visitor,
) -> None:
    creds = {"username": "bot", "password": "guess"}
    await admin.api.create(id="kept", registry="kept.io", type="basic", creds=creds)
    editor = Visitor(admin.api)
    await editor.sign_in(await admin.api.token_for("editor"))
    shown = set()
    for guess in ("guess", "wrong"):
        answer = await editor.post(f"{HOME}/import", {"config": config(kept_io=f"bot:{guess}")})
        assert "the credentials were not compared" in answer.text
        shown.add(re.sub(r'value="\w+"', "", answer.text))
    assert len(shown) == 1


@pytest.mark.parametrize("text", ["", "canary nonsense", "[]", "x" * 300_000])
async def test_what_cannot_be_imported_is_said_at_its_field(admin: Visitor, text: str) -> None:
    answer = await admin.post(f"{HOME}/import", {"config": text})
    assert answer.status_code == 400
    assert 'id="config-problem"' in answer.text
    assert "canary" not in answer.text


async def test_the_filtered_log_is_exported(admin: Visitor) -> None:
    creds = {"username": "bot", "password": "pw"}
    await admin.api.create(id="kept", registry="kept.io", type="basic", creds=creds)
    for number in range(3):
        body = {"enable_ci": number % 2 == 0}
        await admin.api.call("PATCH", "/orgs/acme/registries/kept", json=body)
    page = (await admin.get(f"{HOME}/audit?action=registry.update")).text
    link = re.search(rf'href="({HOME}/audit/export[^"]*)"', page)
    assert link is not None
    answer = await admin.get(html.unescape(link[1]))
    assert answer.headers["content-disposition"].startswith('attachment; filename="audit-acme-')
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [each["action"] for each in lines] == ["registry.update"] * 3
    # The same entries as the API has, hash for hash.
    logs = await admin.api.call("GET", "/orgs/acme/audit-logs?action=registry.update")
    assert lines == logs.json()
    whole = (await admin.get(f"{HOME}/audit/export")).text.splitlines()
    assert len(whole) > len(lines)


async def test_a_form_that_came_too_late_is_filled_in_after_the_sign_in(admin: Visitor) -> None:
    typed = {
        "id": "late",
        "registry": MARKUP,
        "creds.username": "typed-user",
        "creds.password": SECRET,
        "enable_ci": "on",
        "secrets": "eu-1 = infra/pull",
    }
    at = f"{HOME}/new-registry/other"
    admin.cookies["pullpass_session"] = "ended"
    answer = await admin.post(at, typed, headers={"Referer": f"http://pullpass{at}"})
    assert answer.status_code == 303
    target = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    assert target == at
    kept = admin.cookies["pullpass_form"]
    raw = base64.urlsafe_b64decode(kept)
    assert len(raw) > 32
    for guarded in ("HttpOnly", "SameSite=lax", "Path=/ui", "Max-Age=900"):
        header = next(
            each for each in answer.headers.get_list("set-cookie") if "pullpass_form" in each
        )
        assert guarded in header
    await admin.sign_in(admin.api.admin_token)
    page = (await admin.get(at)).text
    assert "Your session had ended" in page
    for text in ('value="late"', 'value="typed-user"', "eu-1 = infra/pull", 'name="enable_ci" che'):
        assert text in page
    assert SECRET not in page
    assert "<script>alert" not in page
    # Once, and on that page only.
    assert admin.cookies.pop("pullpass_form") == '""'
    assert "Your session had ended" not in (await admin.get(at)).text
    admin.cookies["pullpass_form"] = kept
    assert 'value="late"' not in (await admin.get(f"{HOME}/new-registry/harbor")).text
    for forged in (kept[:-4] + "AAAA", "AAAA", "%", kept[4:]):
        admin.cookies["pullpass_form"] = forged
        assert 'value="late"' not in (await admin.get(at)).text


async def test_what_another_site_sends_is_not_kept(admin: Visitor) -> None:
    admin.cookies["pullpass_session"] = "ended"
    headers = {"Origin": "https://evil.example", "Referer": f"http://pullpass{HOME}/trust"}
    await admin.post(f"{HOME}/trust", {"issuer": "https://evil.example"}, headers=headers)
    assert "pullpass_form" not in admin.cookies


async def test_only_fields_that_are_no_secret_are_kept_and_all_of_those(admin: Visitor) -> None:
    creds = {"username": "bot", "password": "pw"}
    await admin.api.create(id="kept", registry="kept.io", type="basic", creds=creds)
    claims = {"project_path": "acme/shop"}
    rule = {"id": "kept", "issuer": "https://gitlab.com", "role": "ci", "claims": claims}
    await admin.api.call("POST", "/orgs/acme/trust-rules", json=rule)
    kinds = ("other", "ecr", "google", "azure", "quay-federated", "gitlab-minted", "copied-secret")
    paths = [f"{HOME}/new-registry/{kind}" for kind in kinds]
    paths += [path_of(page).replace("anything", "kept") for page in PAGES if page.method == "GET"]
    seen = set()
    for path in paths:
        if path.endswith("events"):
            continue
        text = (await admin.get(path)).text
        for form in re.findall(r'<form method="post".*?</form>', text, re.DOTALL):
            for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", form):
                name = re.search(r'name="([^"]+)"', tag)
                if name is None or 'type="hidden"' in tag:
                    continue
                is_secret = "data-secret" in tag or 'type="password"' in tag
                seen.add((name[1], is_secret))
    secret = {name for name, is_secret in seen if is_secret}
    assert secret == {"creds.password", "config", "token"}
    assert not any(may_be_kept(name) for name in secret)
    assert {name for name, _ in seen if not may_be_kept(name)} == secret


async def test_pages_and_assets_are_compressed_where_that_is_safe(admin: Visitor) -> None:
    packed = {"Accept-Encoding": "gzip"}
    plain = {"Accept-Encoding": "identity"}
    page = await admin.get(f"{HOME}/users", headers=packed)
    assert page.headers["content-encoding"] == "gzip"
    assert page.headers["vary"] == "Accept-Encoding"
    assert int(page.headers["content-length"]) < len(page.content) / 2
    # What a guess could be measured by is never twice the same.
    keys = {(await admin.get(f"{HOME}/users")).text.partition('form_key" value="')[2][:128]}
    keys.add(admin.form_key)
    assert len(keys) == 1
    await admin.get(f"{HOME}/users")
    assert admin.form_key not in keys
    for headers in (plain, {"Accept-Encoding": "gzip;q=0"}):
        assert "content-encoding" not in (await admin.get(f"{HOME}/users", headers=headers)).headers
    typed = await admin.post(f"{HOME}/users", {"name": "x" * 2000}, headers=packed)
    assert "content-encoding" not in typed.headers

    style = re.search(r'href="(/ui/static/style[^"]+)"', page.text)
    assert style is not None
    small = await admin.get(style[1], headers=packed)
    whole = await admin.get(style[1], headers=plain)
    assert small.content == whole.content
    assert int(small.headers["content-length"]) < len(whole.content) / 2
    for headers, answer in ((packed, small), (plain, whole)):
        again = headers | {"If-None-Match": answer.headers["etag"]}
        fresh = await admin.get(style[1], headers=again)
        assert (fresh.status_code, fresh.content) == (304, b"")
