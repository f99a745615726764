"""Every page: who may see it, what it never shows, and what it asks of browsers."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from pullpass.domain import timestamp
from pullpass.domain.access import PERMISSIONS, Action
from pullpass.domain.identity import Role
from pullpass.web.page import Entry, Page
from pullpass.web.routes import PAGES
from tests.api.conftest import Api
from tests.web.visitor import HOME, Visitor

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7777*7777 }}"


def path_of(page: Page, organization: str = "acme") -> str:
    path = "/ui" + page.path.replace("{org}", organization)
    return re.sub(r"\{\w+\}", "anything", path)


def needs(page: Page) -> set[Action]:
    if isinstance(page.access, Entry):
        return set()
    return set(page.access) if isinstance(page.access, tuple) else {page.access}


IN_ORGANIZATION = [page for page in PAGES if needs(page) and not page.is_stream]
SIGNED_IN = [page for page in PAGES if page.access is not Entry.PUBLIC]


@pytest.mark.parametrize("role", Role)
async def test_each_role_sees_what_it_may_and_no_more(api: Api, role: Role) -> None:
    visitor = Visitor(api)
    await visitor.sign_in(await api.token_for(role))
    for page in IN_ORGANIZATION:
        send = visitor.get if page.method == "GET" else visitor.post
        answer = await send(path_of(page))
        refused = f"The role &#39;{role}&#39; may not" in answer.text
        if needs(page) <= PERMISSIONS[role]:
            assert not refused, page
            assert answer.status_code not in (401, 500), page
        else:
            assert (answer.status_code, refused) == (403, True), page


async def test_a_stranger_is_told_that_there_is_no_organization(admin: Visitor) -> None:
    for page in IN_ORGANIZATION:
        send = admin.get if page.method == "GET" else admin.post
        assert (await send(path_of(page, "rival"))).status_code == 404, page


@pytest.mark.parametrize("page", SIGNED_IN, ids=lambda page: f"{page.method} {page.path}")
async def test_whoever_is_not_signed_in_is_asked_to(api: Api, page: Page) -> None:
    visitor = Visitor(api)
    send = visitor.get if page.method == "GET" else visitor.post
    for cookie in (None, "nonsense"):
        visitor.cookies = {} if cookie is None else {"pullpass_session": cookie}
        answer = await send(path_of(page))
        if page.is_stream:
            # A sign-in page is no answer to a script.
            assert answer.status_code == 401
            continue
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/ui/sign-in?next=")


@pytest.mark.parametrize(
    "page", [page for page in SIGNED_IN if page.method == "POST"], ids=lambda page: page.path
)
async def test_a_form_of_another_site_is_refused(admin: Visitor, page: Page) -> None:
    path, key = path_of(page), admin.form_key
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    for headers in foreign:
        answer = await admin.post(path, headers=headers)
        assert answer.status_code == 403
        assert "did not come from this page" in answer.text
    for wrong in ("", key[:-1], key[::-1]):
        admin.form_key = wrong
        assert (await admin.post(path)).status_code == 403
    assert (await admin.get(f"{HOME}/account")).status_code == 200


async def test_the_sign_in_form_of_another_site_is_refused(api: Api) -> None:
    visitor = Visitor(api)
    fields = {"token": api.admin_token}
    answer = await visitor.post("/ui/sign-in", fields, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert visitor.cookies == {}


async def test_the_cookie_is_fresh_at_each_sign_in_and_guarded(api: Api) -> None:
    visitor = Visitor(api)
    await visitor.sign_in(api.admin_token)
    first = dict(visitor.cookies)
    answer = await visitor.post("/ui/sign-in", {"token": api.admin_token})
    header = answer.headers["set-cookie"]
    for attribute in ("HttpOnly", "Path=/ui;", "SameSite=lax", "expires="):
        assert attribute in header
    assert api.admin_token not in header
    assert visitor.cookies != first
    # The one before has ended.
    visitor.cookies = first
    assert (await visitor.get(f"{HOME}/account")).status_code == 303


async def test_over_tls_no_other_site_of_the_domain_can_set_a_cookie(api: Api) -> None:
    secure = {"X-Forwarded-Proto": "https"}
    visitor = Visitor(api)
    answer = await visitor.post("/ui/sign-in", {"token": api.admin_token}, headers=secure)
    header = answer.headers["set-cookie"]
    assert header.startswith("__Host-pullpass_session=")
    for attribute in ("HttpOnly", "Path=/;", "SameSite=lax", "Secure", "expires="):
        assert attribute in header
    assert "domain" not in header.lower()
    page = await visitor.get(f"{HOME}/account", headers=secure)
    assert page.status_code == 200
    # As another host below the same domain sets them, one name after the other.
    value = visitor.cookies.pop("__Host-pullpass_session")
    visitor.cookies["pullpass_session"] = value
    assert (await visitor.get(f"{HOME}/account", headers=secure)).status_code == 303
    form = {"claims": "sub = theirs"}
    referer = {"Referer": f"http://pullpass{HOME}/trust"}
    stranger = Visitor(api)
    await stranger.post(f"{HOME}/trust", form, headers=referer)
    visitor.cookies = {"__Host-pullpass_session": value, **stranger.cookies}
    assert "pullpass_form" in visitor.cookies
    assert "theirs" not in (await visitor.get(f"{HOME}/trust", headers=secure)).text
    await visitor.post("/ui/sign-out", headers=secure)
    assert visitor.cookies["__Host-pullpass_session"] == '""'


async def test_signing_out_ends_the_session_for_whoever_kept_the_cookie(admin: Visitor) -> None:
    kept = dict(admin.cookies)
    answer = await admin.post("/ui/sign-out")
    assert 'pullpass_session=""' in answer.headers["set-cookie"]
    admin.cookies = kept
    assert (await admin.get(f"{HOME}/account")).status_code == 303


async def test_a_session_never_outlives_its_token(api: Api) -> None:
    visitor = Visitor(api)
    ends = datetime.now(UTC) + timedelta(hours=1)
    expires_at = timestamp.render(ends)
    token = await api.token_of(api.admin_id, id="short", expires_at=expires_at)
    answer = await visitor.post("/ui/sign-in", {"token": token})
    assert f"{ends:%H:%M:%S} GMT" in answer.headers["set-cookie"]
    await api.call("DELETE", f"/users/{api.admin_id}/tokens/short")
    answer = await visitor.get(f"{HOME}/registries?q=x")
    here = f"/ui/sign-in?next={HOME}/registries%3Fq%3Dx"
    assert answer.headers["location"] == f"{here}&ended=session_ended"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/ui//evil.example", "/\\evil", "/schema"]
)
async def test_signing_in_leads_to_no_other_site(api: Api, target: str) -> None:
    visitor = Visitor(api)
    answer = await visitor.post("/ui/sign-in", {"token": api.admin_token, "next": target})
    assert answer.headers["location"] == "/ui/"


async def test_every_page_has_the_guarding_headers(admin: Visitor) -> None:
    for page in PAGES:
        if page.is_stream:
            continue
        send = admin.get if page.method == "GET" else admin.post
        answer = await send(path_of(page, "acme" if page.method == "GET" else "rival"))
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script>|<style|\son\w+=|\sstyle=|javascript:", answer.text), page
    for path in ("/ui/nothing", "/ui/orgs/acme/nothing", "/ui/static/nothing"):
        assert (await admin.get(path)).status_code == 404


async def test_assets_are_kept_for_good_under_names_that_change_with_them(admin: Visitor) -> None:
    page = await admin.get("/ui/sign-in")
    assets = set(re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', page.text))
    assert {path.rpartition(".")[2] for path in assets} == {"css", "js", "svg"}
    for path in assets:
        answer = await admin.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert re.fullmatch(r"/ui/static/\w+\.[0-9a-f]{12}\.\w+", path)


async def test_markup_in_whatever_is_stored_or_typed_is_shown_as_text(admin: Visitor) -> None:
    api = admin.api
    member = {"name": MARKUP, "role": "reader", "type": "user"}
    user = (await api.call("POST", "/orgs/acme/users", json=member)).json()["id"]
    token = {"id": "t", "type": "static", "description": MARKUP}
    await api.call("POST", f"/users/{user}/tokens", json=token)
    await api.call("POST", f"/users/{api.admin_id}/tokens", json=token)
    await api.call("PATCH", "/current-user", json={"name": MARKUP})
    typed = dict.fromkeys(
        ("id", "registry", "creds.username", "creds.password", "secrets", "image"), MARKUP
    )
    answers = [
        await admin.get(f"{HOME}/registries?{urlencode({'q': MARKUP, 'after': MARKUP})}"),
        await admin.get(f"/ui/sign-in?{urlencode({'next': MARKUP, 'ended': MARKUP})}"),
        await admin.get(f"{HOME}/users?{urlencode({'notice': MARKUP})}"),
        await admin.get(f"{HOME}/users/{user}"),
        await admin.get(f"{HOME}/account"),
        await admin.get(f"{HOME}/images?{urlencode({'image': MARKUP})}"),
        await admin.post(f"{HOME}/images", {"images": f"image: '{MARKUP}'"}),
        await admin.post(f"{HOME}/new-registry/other", typed),
        await admin.post(f"{HOME}/users", {"name": MARKUP * 9, "email": MARKUP, "role": MARKUP}),
        await admin.post(f"{HOME}/users/{user}/tokens", {"id": MARKUP, "description": MARKUP}),
    ]
    for answer in answers:
        assert answer.status_code in (200, 400)
        assert "<script>" not in answer.text, answer.url
        assert "<img src=x" not in answer.text, answer.url
        assert 'onerror=alert(2)>"' not in answer.text
        assert str(7777 * 7777) not in answer.text
    assert sum("&lt;script&gt;" in answer.text for answer in answers) >= 8


async def test_no_page_shows_a_secret_where_it_is_not_asked_for(admin: Visitor) -> None:
    api, secret = admin.api, "canary-stored-77aa"
    creds = {"username": "canary-user-77aa", "password": secret}
    await api.create(id="kept", registry="kept.io", type="basic", creds=creds)
    for page in PAGES:
        if page.method == "GET" and not page.is_stream:
            path = path_of(page).replace("/registries/anything", "/registries/kept")
            answer = await admin.get(path)
            assert "canary" not in answer.text, path
    typed = {
        "registry": "kept.io/else",
        "creds.username": "bot",
        "creds.password": "canary-typed-77aa",
        "secrets": "wrong",
        "options.x": "y",
        "version": "1",
        "id": "Not An Id",
    }
    forms = [
        f"{HOME}/registries/kept/edit",
        *(f"{HOME}/new-registry/{kind}" for kind in ("other", "ecr", "google", "copied-secret")),
    ]
    for path in forms:
        answer = await admin.post(path, typed)
        assert answer.status_code == 400
        assert "canary" not in answer.text, path
    answer = await admin.post("/ui/sign-in", {"token": "ppt_canary"})
    assert "canary" not in answer.text
    shown = await admin.post(f"{HOME}/registries/kept/credential")
    assert secret in shown.text


async def test_what_is_wrong_stands_at_its_field(admin: Visitor) -> None:
    wrong = {"id": "A", "registry": "kept.io/-", "creds.expires": "soon", "secrets": "x = y"}
    answer = await admin.post(f"{HOME}/new-registry/other", wrong)
    assert answer.status_code == 400
    for name in ("creds-expires", "secrets"):
        assert f'id="{name}-problem"' in answer.text
        assert f'href="#{name}"' in answer.text
    answer = await admin.post(
        f"{HOME}/new-registry/other", wrong | {"creds.expires": "", "secrets": ""}
    )
    for name in ("id", "registry", "creds-password"):
        assert f'id="{name}-problem"' in answer.text
    assert 'value="kept.io/-"' in answer.text
    # At the top, where several are, each says what it is about.
    assert '<a href="#id">Name is ' in answer.text
    assert '<a href="#registry">Registry: ' in answer.text
    taken = {"id": "one", "registry": "one.io", "then": "save"}
    taken |= {"creds.username": "bot", "creds.password": "pw"}
    assert (await admin.post(f"{HOME}/new-registry/other", taken)).status_code == 303
    answer = await admin.post(f"{HOME}/new-registry/other", taken | {"id": "two"})
    assert 'id="registry-problem"' in answer.text
    answer = await admin.post(f"{HOME}/new-registry/other", taken | {"registry": "two.io"})
    assert 'id="id-problem"' in answer.text


async def test_a_credential_that_is_over_stands_out(admin: Visitor) -> None:
    creds = {"username": "bot", "password": "pw", "expires": "2020-01-31T00:00:00Z"}
    await admin.api.create(id="past", registry="past.io", type="basic", creds=creds)
    listed = (await admin.get(f"{HOME}/registries")).text
    assert '<span class="badge bad">ended</span>' in listed
    await admin.api.call("GET", "/orgs/acme/image-creds?image=past.io/app")
    page = (await admin.get(f"{HOME}/registries/past")).text
    assert "It is handed out all the same: rotate it." in page
    assert ">past</a> <code>past.io/app</code>" in page


async def test_a_trust_rule_is_added_changed_and_deleted(admin: Visitor) -> None:
    rule = {
        "id": "shop-ci",
        "issuer": "https://token.actions.githubusercontent.com",
        "claims": "repository = acme/shop\nref = refs/heads/main\nref = refs/tags/**",
        "role": "ci",
        "registries": "ghcr, quay-*",
        "minutes": "10",
    }
    wrong = rule | {"issuer": "http://no", "claims": "no sign", "minutes": "x"}
    answer = await admin.post(f"{HOME}/trust", wrong)
    assert answer.status_code == 400
    for name in ("claims",):
        assert f'id="{name}-problem"' in answer.text
    answer = await admin.post(f"{HOME}/trust", wrong | {"claims": rule["claims"]})
    for name in ("issuer", "minutes"):
        assert f'id="{name}-problem"' in answer.text
    answer = await admin.post(f"{HOME}/trust", rule)
    assert answer.headers["location"] == f"{HOME}/trust/shop-ci?notice=rule-created"
    path = "/orgs/acme/trust-rules/shop-ci"
    stored = (await admin.api.call("GET", path)).json()
    assert stored["claims"] == {
        "repository": ["acme/shop"],
        "ref": ["refs/heads/main", "refs/tags/**"],
    }
    assert (stored["registries"], stored["lifetime"]) == (["ghcr", "quay-*"], 600)

    page = (await admin.get(f"{HOME}/trust/shop-ci")).text
    assert "refs/tags/**" in page
    assert 'value="10"' in page
    member = re.search(rf"{HOME}/users/([0-9a-f-]+)", (await admin.get(f"{HOME}/users")).text)
    assert member is not None
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    changed = rule | {"role": "puller", "version": version[1]}
    answer = await admin.post(f"{HOME}/trust/shop-ci", changed)
    assert answer.status_code == 303
    # Another one who began with the same version sees both, and nothing is overwritten.
    answer = await admin.post(f"{HOME}/trust/shop-ci", changed | {"role": "reader"})
    assert answer.status_code == 412
    assert re.search(r"Role</th><td[^>]*>puller</td><td[^>]*>reader<", answer.text)
    assert (await admin.api.call("GET", path)).json()["role"] == "puller"
    answer = await admin.post(f"{HOME}/trust-test", {"token": "canary.not.a-token"})
    assert answer.status_code == 200
    assert "The token is not taken" in answer.text
    assert "canary" not in answer.text
    assert (await admin.post(f"{HOME}/trust/shop-ci/delete")).status_code == 303
    assert (await admin.api.call("GET", path)).status_code == 404


async def test_what_is_done_on_the_pages_is_in_the_audit_log(admin: Visitor) -> None:
    api = admin.api
    creds = {"username": "bot", "password": "pw"}
    await api.create(id="kept", registry="kept.io", type="basic", creds=creds)
    await admin.post(f"{HOME}/registries/kept/credential", headers={"User-Agent": "a browser"})
    reader = Visitor(api)
    await reader.sign_in(await api.token_for("reader"))
    await reader.get(f"{HOME}/registries/kept/credential")
    log = (await api.call("GET", "/orgs/acme/audit-logs?action=credential.read")).json()
    assert [(each["user_name"], each["result"]) for each in log] == [
        ("reader-user", "refused"),
        ("admin", "ok"),
    ]
    assert log[1]["user_agent"] == "a browser"

    page = (await admin.get(f"{HOME}/audit?action=credential.read&result=ok")).text
    assert "credential.read" in page
    assert "reader-user" not in page
    assert "Recent reads" in (await admin.get(f"{HOME}/registries/kept")).text
    assert "Recent reads" not in (await reader.get(f"{HOME}/registries/kept")).text
    for number in range(60):
        await api.call("PATCH", "/orgs/acme/registries/kept", json={"enable_ci": number % 2 == 0})
    first = (await admin.get(f"{HOME}/audit?registry_id=kept")).text
    earlier = re.search(rf'href="({HOME}/audit\?[^"]+)">Earlier', first)
    assert earlier is not None
    assert "registry.create" in (await admin.get(html.unescape(earlier[1]))).text
    for query in ("before=nonsense", "action=nonsense", "registry_id=%00"):
        assert (await admin.get(f"{HOME}/audit?{query}")).status_code == 200, query


async def test_a_form_that_is_none_is_refused_with_a_page(admin: Visitor) -> None:
    for body in (b"\xff\xfe", b"&".join(b"a=1" for _ in range(300)), b"a=" + b"x" * 2**20):
        answer = await admin._send("POST", f"{HOME}/images", content=body)
        assert answer.status_code == 400
        assert "<h1>" in answer.text


async def test_what_no_browser_sends_is_no_fault_of_the_server(admin: Visitor) -> None:
    await admin.api.create(id="ghcr", registry="ghcr.io", type="public")
    assert "ghcr.io" in (await admin.get(f"{HOME}/registries?q=gh%00cr")).text
    rule = {"id": "lab", "issuer": "https://issuer.example", "role": "ci", "claims": "sub = x"}
    answer = await admin.post(f"{HOME}/trust", {**rule, "minutes": "9" * 5000})
    assert answer.status_code == 400
    stranger = Visitor(admin.api)
    answer = await stranger.post(f"{HOME}/images", headers={"Referer": "http://["})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/ui/sign-in?")
    # It would be cut off when it came back.
    await stranger.post(f"{HOME}/trust", {"claims": "a" * 300_000}, headers={"Referer": "/ui/x"})
    assert "pullpass_form" not in stranger.cookies


async def test_the_start_page_is_the_web_page(api: Api) -> None:
    answer = await api.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/ui/")
    assert (await api.http.get("/ui")).headers["location"] == "/ui/"
