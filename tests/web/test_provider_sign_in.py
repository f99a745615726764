"""Signing in with the organization's OpenID provider, from the wire and in chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.parts.api_client import ApiClient, eventually
from tests.parts.oidc import new_key
from tests.parts.provider import CLIENT_SECRET, JO, OpenIdProvider, a_client_of
from tests.parts.server import PullpassServer, pullpass_server
from tests.web.person import Person
from tests.web.test_accessibility import violations

SAM = {**JO, "sub": "sam", "name": "Sam Vimes", "email": "sam@example.com"}


@pytest.fixture(scope="module")
def shared() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as found:
        yield found


@pytest.fixture
def provider(shared: OpenIdProvider) -> OpenIdProvider:
    shared.person, shared.thin, shared.fault, shared.skew = JO, False, None, 0.0
    shared.wrong.clear()
    return shared


@pytest.fixture(scope="module")
def server(
    shared: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PullpassServer]:
    """People are invited by their address."""
    with a_client_of(shared, tmp_path_factory.mktemp("invited")) as found:
        yield found


@pytest.fixture(scope="module")
def grouped(
    shared: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PullpassServer]:
    """Groups say who may come in."""
    roles = "acme:admin=platform, acme:editor=writers, acme:reader=everybody, gone:admin=platform"
    folder = tmp_path_factory.mktemp("grouped")
    with a_client_of(shared, folder, {"PULLPASS_OIDC_ROLES": roles}) as found:
        yield found


@pytest.fixture
def admin(server: PullpassServer) -> Iterator[ApiClient]:
    """The administrator; whoever was invited is gone afterwards."""
    with ApiClient(server) as found:
        yield found
        for user in found.call("GET", "users").json():
            if user["name"] != "admin":
                found.call("DELETE", f"users/{user['id']}")


class Traveller:
    """A browser without a script, that shows each step of the way."""

    def __init__(self, server: PullpassServer) -> None:
        self.origin = f"http://localhost:{server.port}"
        self.http = httpx.Client(base_url=self.origin, trust_env=False)

    def set_out(self, to: str = "/ui/orgs/acme/users") -> dict[str, str]:
        """What the provider is asked, as its page has it."""
        answer = self.http.get("/ui/sign-in/provider", params={"next": to})
        assert answer.status_code == 303, answer.text
        assert "code_verifier" not in answer.headers["location"]
        page = httpx.get(answer.headers["location"], trust_env=False)
        assert page.status_code == 200, page.text
        links = re.findall(r'href="([^"]+)">(\w+)<', page.text)
        return {name: link.replace("&amp;", "&") for link, name in links}

    def come_back(self, link: str) -> httpx.Response:
        return self.http.get(link)

    def sign_in(self, to: str = "/ui/orgs/acme/users") -> httpx.Response:
        return self.come_back(self.set_out(to)["Allow"])

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)


@pytest.fixture
def traveller(server: PullpassServer) -> Iterator[Traveller]:
    found = Traveller(server)
    with found.http:
        yield found


def invite(admin: ApiClient, role: str = "editor", email: str = "jo@example.com") -> str:
    user = {"name": "Jo", "role": role, "type": "user", "email": email}
    made = admin.call("POST", "users", json=user)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_a_person_comes_in_is_brought_where_they_were_and_goes(
    browser: Browser, server: PullpassServer, provider: OpenIdProvider, admin: ApiClient
) -> None:
    user_id = invite(admin)
    with Person.at(browser, server) as person:
        page = person.page
        page.goto(f"http://localhost:{server.port}/ui/orgs/acme/images")
        person.follow("Sign in with Acme SSO")
        person.follow("Allow")
        person.sees("Which credential will this image get?")
        assert urlsplit(page.url).path == "/ui/orgs/acme/images"
        assert "code=" not in page.url
        expect(page.get_by_role("link", name="Jo editor")).to_be_visible()
        names = {cookie.get("name") for cookie in page.context.cookies()}
        assert names == {"pullpass_session"}

        person.follow("Jo editor")
        person.sees("Signed in with Acme SSO")
        person.press("Sign out")
        person.sees("You are signed out of Pullpass.")
        assert admin.call("GET", f"/users/{user_id}/tokens").json() == []
        person.follow("sign out of Acme SSO too")
        person.sees("You are signed out of Acme.")
        person.follow("Back")
        person.sees("Sign in with Acme SSO")

    entries = admin.call("GET", "audit-logs", params={"user_id": user_id}).json()
    told = [(each["action"], each.get("token_subject")) for each in entries]
    assert told == [
        ("token.delete", JO["sub"]),
        ("user.sign_in", JO["sub"]),
        ("user.update", JO["sub"]),
    ]


def test_who_refuses_at_the_provider_can_try_again_or_take_a_token(
    browser: Browser, server: PullpassServer, provider: OpenIdProvider, admin: ApiClient
) -> None:
    invite(admin)
    with Person.at(browser, server) as person:
        person.page.goto(f"http://localhost:{server.port}/ui/orgs/acme/images")
        person.follow("Sign in with Acme SSO")
        person.follow("Deny")
        person.sees("Acme SSO did not let you in (access_denied)")
        assert "canary" not in person.text
        person.follow("Try again with Acme SSO")
        person.follow("Allow")
        person.sees("Which credential will this image get?")
        person.press("Sign out")
        person.type_token(server.admin_token)
        person.sees("No registries yet")
        person.press("Sign out")
        person.sees("You are signed out.")
        assert "Acme SSO too" not in person.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_with_the_button_has_no_violations(
    browser: Browser, server: PullpassServer, provider: OpenIdProvider, scheme: str
) -> None:
    with Person.at(browser, server, color_scheme=scheme) as person:
        for path in ("/ui/sign-in", "/ui/sign-in?notice=signed-out-here", "/ui/sign-in/callback"):
            person.page.goto(path)
            person.sees("with Acme SSO")
            assert violations(person.page) == []


def test_the_session_goes_with_the_user_and_follows_its_role(
    browser: Browser, server: PullpassServer, provider: OpenIdProvider, admin: ApiClient
) -> None:
    user_id = invite(admin, "admin")
    with Person.at(browser, server) as person:
        person.page.goto(f"http://localhost:{server.port}/ui/sign-in")
        person.follow("Sign in with Acme SSO")
        person.follow("Allow")
        person.follow("Access")
        person.sees("What each role may do")
        admin.call("PATCH", f"users/{user_id}", json={"role": "reader"})
        person.page.reload()
        person.sees("The role 'reader' may not")
        admin.call("DELETE", f"users/{user_id}")
        person.page.reload()
        person.sees("Your session has ended.")


def test_what_people_make_for_themselves_ends_with_the_sign_in(
    traveller: Traveller, provider: OpenIdProvider, admin: ApiClient
) -> None:
    user_id = invite(admin, "admin")
    robot = admin.call("POST", "users", json={"name": "robot", "role": "ci"}).json()["id"]
    assert traveller.sign_in().status_code == 303
    page = traveller.get("/ui/orgs/acme/account")
    key = re.search(r'name="form_key" value="(\w+)"', page.text)
    assert key is not None
    for path in ("account", f"users/{robot}"):
        made = traveller.http.post(
            f"/ui/orgs/acme/{path}/tokens",
            data={"form_key": key[1], "id": "mine", "days": ""},
            headers={"Origin": traveller.origin},
        )
        assert "ppt_" in made.text, made.text
    own = admin.call("GET", f"/users/{user_id}/tokens").json()
    assert {"mine"} < {each["id"] for each in own}
    assert len({each["expires_at"][:16] for each in own}) == 1
    (for_robot,) = admin.call("GET", f"/users/{robot}/tokens").json()
    assert "expires_at" not in for_robot


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["pullpass", "another"]},
        {"aud": ["pullpass", "another"], "azp": "another"},
        {"iss": "https://issuer.example"},
        {"exp": 1},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_attempt_is_refused(
    traveller: Traveller, provider: OpenIdProvider, admin: ApiClient, wrong: dict[str, object]
) -> None:
    invite(admin)
    provider.wrong.update(wrong)
    answer = traveller.sign_in()
    assert answer.status_code == 401
    assert "cannot be trusted" in answer.text
    assert 'name="token"' in answer.text
    assert traveller.get("/ui/orgs/acme/account").status_code == 303


def test_a_token_that_another_has_signed_is_refused(
    traveller: Traveller, provider: OpenIdProvider, admin: ApiClient
) -> None:
    invite(admin)
    genuine = provider.keys[0]
    assert traveller.sign_in().status_code == 303
    # Of the same name, so that nothing but the signature tells.
    provider.keys[0] = new_key(kind="RS256")
    try:
        assert traveller.sign_in().status_code == 401
    finally:
        provider.keys[0] = genuine


def test_the_answer_belongs_to_the_browser_that_asked_and_is_good_once(
    server: PullpassServer, provider: OpenIdProvider, admin: ApiClient
) -> None:
    invite(admin)
    mine, theirs, third = Traveller(server), Traveller(server), Traveller(server)
    with mine.http, theirs.http, third.http:
        link = mine.set_out()["Allow"]
        theirs.set_out()
        asked = len(provider.calls)
        # Somebody else's answer, whether this browser has begun something of its own or not.
        for victim in (theirs, third):
            answer = victim.come_back(link)
            assert (answer.status_code, "not begun in this browser" in answer.text) == (401, True)
        assert len(provider.calls) == asked
        cookie = mine.http.cookies["pullpass_sign_in"]
        assert mine.come_back(link).status_code == 303
        assert "pullpass_sign_in" not in mine.http.cookies
        assert mine.come_back(link).status_code == 401
        # And with the cookie kept, the provider does not take its code again.
        theirs.http.cookies.clear()
        theirs.http.cookies.set("pullpass_sign_in", cookie)
        answer = theirs.come_back(link)
        assert (answer.status_code, "cannot be trusted" in answer.text) == (401, True)


def test_an_answer_in_the_name_of_another_issuer_is_refused(
    traveller: Traveller, provider: OpenIdProvider
) -> None:
    asked = provider.asked("/token")
    genuine = httpx.URL(traveller.set_out()["Allow"])
    named = genuine.copy_set_param("iss", "https://evil.example")
    assert traveller.come_back(str(named)).status_code == 401
    nameless = httpx.URL(traveller.set_out()["Allow"]).copy_remove_param("iss")
    assert traveller.come_back(str(nameless)).status_code == 401
    assert provider.asked("/token") == asked


def test_a_sign_in_takes_the_place_of_the_session_before(
    traveller: Traveller, provider: OpenIdProvider, admin: ApiClient
) -> None:
    invite(admin)
    traveller.sign_in()
    before = traveller.http.cookies["pullpass_session"]
    traveller.sign_in()
    assert traveller.http.cookies["pullpass_session"] != before
    traveller.http.cookies.clear()
    traveller.http.cookies.set("pullpass_session", before)
    assert traveller.get("/ui/orgs/acme/account").status_code == 303


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example",
        "/ui//evil.example",
        "/ui/\\evil.example",
        "/../evil",
        "/ui/\nSet-Cookie: a=b",
        "",
    ],
)
def test_nobody_is_sent_to_another_site(
    traveller: Traveller, provider: OpenIdProvider, admin: ApiClient, to: str
) -> None:
    invite(admin)
    assert traveller.sign_in(to).headers["location"] == "/ui/"


def test_the_cookie_of_an_attempt_is_for_the_server_alone(
    traveller: Traveller, provider: OpenIdProvider
) -> None:
    sent = traveller.http.get(
        "/ui/sign-in/provider", headers={"X-Forwarded-Proto": "https", "Host": "evil.example"}
    )
    cookie = sent.headers["set-cookie"]
    assert cookie.startswith("__Host-pullpass_sign_in=")
    for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Path=/;", "Max-Age=600"):
        assert attribute in cookie
    plain = traveller.http.get("/ui/sign-in/provider").headers["set-cookie"]
    assert "Path=/ui/sign-in;" in plain
    asked = parse_qs(urlsplit(sent.headers["location"]).query)
    assert asked["redirect_uri"] == [f"{traveller.origin}/ui/sign-in/callback"]


@pytest.mark.parametrize(
    ("person", "says"),
    [
        ({**JO, "email_verified": False}, "no verified e-mail address for the address jo@"),
        ({**JO, "email_verified": None}, "no verified e-mail address for the address jo@"),
        ({**JO, "email": None}, "no verified e-mail address for you"),
        (SAM, "Nobody here has the e-mail address sam@example.com"),
        ({**SAM, "email": "robot@example.com"}, "Nobody here has the e-mail address robot@"),
    ],
)
def test_who_is_not_invited_is_told_what_to_ask_for(
    traveller: Traveller,
    provider: OpenIdProvider,
    admin: ApiClient,
    person: dict[str, object],
    says: str,
) -> None:
    invite(admin)
    robot = {"name": "robot", "role": "ci", "email": "robot@example.com"}
    admin.call("POST", "users", json=robot)
    provider.person = {name: value for name, value in person.items() if value is not None}
    answer = traveller.sign_in()
    assert (answer.status_code, says in answer.text) == (403, True), answer.text
    assert "pullpass_session" not in traveller.http.cookies


def test_a_user_is_the_person_who_came_first_whatever_their_address_becomes(
    server: PullpassServer, provider: OpenIdProvider, admin: ApiClient
) -> None:
    invite(admin)
    first, later, heir = Traveller(server), Traveller(server), Traveller(server)
    with first.http, later.http, heir.http:
        assert first.sign_in().status_code == 303
        provider.person = {**JO, "email": "jo.new@example.com", "email_verified": False}
        assert later.sign_in().status_code == 303
        provider.person = {**SAM, "email": "jo@example.com"}
        answer = heir.sign_in()
        assert (answer.status_code, "is somebody else" in answer.text) == (409, True)


def test_the_address_is_taken_in_whatever_case_and_from_userinfo_too(
    traveller: Traveller, provider: OpenIdProvider, admin: ApiClient
) -> None:
    invite(admin)
    provider.thin = True
    provider.person = {**JO, "email": "Jo@Example.com"}
    assert traveller.sign_in().status_code == 303


def test_members_do_not_choose_the_address_that_somebody_signs_in_by(
    server: PullpassServer, admin: ApiClient
) -> None:
    answer = admin.call("PATCH", "/current-user", json={"email": "boss@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")
    assert admin.call("PATCH", "/current-user", json={"name": "admin"}).status_code == 200


def test_a_provider_that_is_down_is_told_and_tokens_go_on(
    provider: OpenIdProvider, traveller: Traveller, admin: ApiClient
) -> None:
    invite(admin)
    link = traveller.set_out()["Allow"]
    provider.stop()
    try:
        answer = traveller.come_back(link)
    finally:
        provider.start()
    assert (answer.status_code, "does not answer as it should" in answer.text) == (503, True)
    assert 'name="token"' in answer.text


def test_a_clock_that_is_wrong_is_named(
    provider: OpenIdProvider, traveller: Traveller, admin: ApiClient
) -> None:
    invite(admin)
    provider.skew = -3600
    answer = traveller.sign_in()
    assert (answer.status_code, "60 minutes" in answer.text) == (401, True)


def test_groups_bring_people_in_change_their_role_and_shut_them_out(
    grouped: PullpassServer, provider: OpenIdProvider
) -> None:
    visitor = Traveller(grouped)
    with visitor.http, ApiClient(grouped) as admin:

        def comes(*groups: str) -> int:
            provider.person = {**JO, "groups": list(groups)}
            return visitor.sign_in("/ui/orgs/acme/account").status_code

        def jo() -> dict[str, object]:
            users = admin.call("GET", "users").json()
            return next((user for user in users if user["name"] == "Jo Trigg"), {})

        assert (comes("strangers"), jo()) == (403, {})
        assert comes("everybody") == 303
        assert (jo()["role"], jo()["email"]) == ("reader", "jo@example.com")
        made = {"id": "lasting", "type": "static"}
        user_id = jo()["id"]
        token = admin.call("POST", f"/users/{user_id}/tokens", json=made).json()["token"]

        # The first entry whose group fits, and no token of before has the new role.
        assert comes("everybody", "writers") == 303
        assert (jo()["role"], jo()["id"]) == ("editor", user_id)
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{grouped.url}/current-user", headers=headers).status_code == 401

        assert visitor.get("/ui/orgs/acme/account").status_code == 200
        other = Traveller(grouped)
        with other.http:
            provider.person = {**JO, "groups": []}
            assert other.sign_in().status_code == 403
        eventually(lambda: visitor.get("/ui/orgs/acme/account").status_code, 303)
        assert admin.call("GET", f"/users/{user_id}/tokens").json() == []


def test_the_last_administrator_is_shut_out_rather_than_replaced(
    grouped: PullpassServer, provider: OpenIdProvider
) -> None:
    visitor = Traveller(grouped)
    with visitor.http, ApiClient(grouped) as admin:
        provider.person = {**SAM, "groups": ["platform"]}
        assert visitor.sign_in("/ui/orgs/acme/account").status_code == 303
        users = admin.call("GET", "users").json()
        founder = next(user["id"] for user in users if user["name"] == "admin")
        sam = next(user["id"] for user in users if user["name"] == "Sam Vimes")
        assert admin.call("PATCH", f"users/{founder}", json={"role": "reader"}).status_code == 200
        provider.person = {**SAM, "groups": ["everybody"]}
        answer = visitor.sign_in()
        assert (answer.status_code, "is the last administrator" in answer.text) == (409, True)
        assert visitor.get("/ui/orgs/acme/account").status_code == 303
        assert sam in answer.text


def test_without_a_provider_there_is_no_button_and_no_way(tmp_path: Path) -> None:
    with (
        pullpass_server(tmp_path / "data") as server,
        httpx.Client(base_url=server.url, trust_env=False) as http,
    ):
        assert "organization's account" not in http.get("/ui/sign-in").text
        for path in ("provider", "callback", "provider/sign-out"):
            assert http.get(f"/ui/sign-in/{path}?code=a&state=b").status_code == 404


def test_no_secret_of_a_sign_in_is_logged_stored_or_shown(
    provider: OpenIdProvider, tmp_path: Path
) -> None:
    with a_client_of(provider, tmp_path, {"PULLPASS_LOG_LEVEL": "debug"}) as server:
        with ApiClient(server) as admin:
            invite(admin)
        visitor = Traveller(server)
        shown = []
        with visitor.http:
            begun = len(provider.issued)
            shown.append(visitor.come_back(visitor.set_out()["Deny"]).text)
            provider.wrong["nonce"] = "another"
            shown.append(visitor.sign_in().text)
            provider.wrong.clear()
            provider.thin = True
            link = visitor.set_out()["Allow"]
            attempt = visitor.http.cookies["pullpass_sign_in"].partition(".")[0]
            assert visitor.come_back(link).status_code == 303
            shown.append(visitor.get("/ui/orgs/acme/account").text)
            session = visitor.http.cookies["pullpass_session"]
        secrets = [CLIENT_SECRET, attempt, session, *provider.issued[begun:]]
        assert len(secrets) > 8
        server.stop()
        places = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
        places["the log"] = server.log_text().encode()
        places["a page"] = "".join(shown).encode()
        for name, content in places.items():
            for secret in secrets:
                assert secret.encode() not in content, f"{secret} is in {name}"
        assert "signed in" in server.log_text()
