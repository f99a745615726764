"""A person's way through the pages, in chromium, with a real registry behind them."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Route, expect

from tests.parts.api_client import ApiClient, eventually
from tests.parts.registry import DockerRegistry
from tests.parts.server import PullpassServer, pullpass_server
from tests.web.conftest import REGISTRY_PASSWORD
from tests.web.person import Person


def test_from_the_first_sign_in_to_the_first_working_record(
    person: Person, registry: DockerRegistry, client: ApiClient
) -> None:
    page = person.page
    page.goto("/")
    person.type_token("ppt_nonsense")
    person.sees("The token is malformed")
    person.type_token(person.server.admin_token)
    person.sees("No registries yet")

    person.follow("Add the first registry")
    page.get_by_role("link", name="Any other registry").click()
    person.press("Check and save")
    person.sees("Nothing was saved yet.")
    name = person.field("Name")
    expect(name).to_have_attribute("aria-invalid", "true")
    name.fill("office")
    person.fill("Registry", registry.address)
    person.fill("User name", "robot")
    person.fill("Password or token", "wrong")
    person.fill("An image to try", f"{registry.address}/team/app:1")
    person.press("Check and save")

    person.sees("refused the user name and password (401)")
    assert client.call("GET", "registries").json() == []
    expect(name).to_have_value("office")
    # The script keeps what was typed; the server has not sent it back.
    expect(person.field("Password or token")).to_have_value("wrong")
    person.fill("Password or token", REGISTRY_PASSWORD)
    person.press("Check and save")

    person.sees("The record was created, and its credential works.")
    expect(page.get_by_text("can be pulled from").first).to_be_visible()
    assert client.password_for(f"{registry.address}/team/app") == REGISTRY_PASSWORD
    person.follow("Registries")
    row = page.get_by_role("row", name="office")
    expect(row).to_contain_text("works")


def test_without_javascript_everything_but_the_live_parts_works(
    browser: Browser, server: PullpassServer, registry: DockerRegistry, client: ApiClient
) -> None:
    with Person.at(browser, server, java_script_enabled=False) as person:
        page = person.page
        page.goto("/ui/")
        person.type_token(server.admin_token)
        person.go("/new-registry/other")
        person.fill("Name", "plain")
        person.fill("Registry", registry.address)
        person.fill("User name", "robot")
        person.fill("Password or token", "wrong")
        person.press("Check and save")
        person.sees("refused the user name and password (401)")
        expect(person.field("Name")).to_have_value("plain")
        expect(person.field("Password or token")).to_have_value("")
        person.sees("type it again")
        person.fill("Password or token", REGISTRY_PASSWORD)
        person.press("Check and save")
        person.sees("The record was created, and its credential works.")
        person.press("Check now")
        person.sees("It works")
        person.go("/registries")
        page.get_by_role("searchbox").fill("nothing-like-it")
        person.press("Filter")
        person.sees("Nothing matches")
        person.go("/registries/plain/delete")
        page.get_by_role("textbox").fill("plane")
        person.press("Delete for good")
        person.sees("This is not the record's id.")
        page.get_by_role("textbox").fill("plain")
        person.press("Delete for good")
        person.sees("were deleted")


def test_which_credential_the_images_of_a_manifest_get(
    person: Person, registry: DockerRegistry, client: ApiClient
) -> None:
    client.create("wide", registry.address, "wrong")
    client.create("narrow", f"{registry.address}/team", "wrong")
    person.sign_in()
    person.follow("Image lookup")
    person.fill(
        "Images",
        f"""
        kind: Pod
        spec:
          initContainers: [{{name: init, image: "{registry.address}/other/tool"}}]
          containers:
            - name: app
              image: {registry.address}/team/app:1  # the app
            - image: ghcr.io/nobody/it
            - image: "ghcr.io/UPPER"
        """,
    )
    person.press("Look up")
    person.sees("4 images: 2 with a record, 1 without, 1 not understood.")
    found = person.page.get_by_role("listitem").filter(has_text=f"{registry.address}/team/app:1")
    expect(found).to_contain_text("is the longest of 2 prefixes")
    expect(found).to_contain_text("Passed over, less specific: wide")
    found.get_by_role("button", name="Check it now").click()
    person.sees("It does not work")
    expect(person.page.get_by_role("heading", level=1)).to_contain_text("narrow")


def test_a_token_is_shown_once_works_and_is_revoked(person: Person, client: ApiClient) -> None:
    page = person.page
    person.sign_in()
    person.follow("Access")
    person.fill("Name", "build")
    page.get_by_label("Role").first.select_option("puller")
    person.press("Add the user")
    person.sees("The user was added.")
    person.press("Make the token")
    person.sees("This is missing.")
    page.locator("#token-id").fill("pipeline")
    person.press("Make the token")
    token = page.locator("#token").inner_text()
    assert token.startswith("ppt_")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.press("Copy")
    person.sees("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == token
    url = f"{person.server.url}/current-user"
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(url, headers=headers).status_code == 200

    person.follow("Done")
    assert token not in page.content()
    person.press("Revoke pipeline")
    person.sees("The token was revoked.")
    eventually(lambda: httpx.get(url, headers=headers).status_code, 401)
    person.press("Remove build")
    person.sees("The user was removed")


def test_a_session_ends_with_its_token_and_comes_back_to_where_one_was(
    person: Person, client: ApiClient
) -> None:
    me = client.call("GET", "/current-user").json()["id"]
    made = client.call("POST", f"/users/{me}/tokens", json={"id": "short", "type": "static"})
    person.sign_in(made.json()["token"])
    person.go("/registries?q=something&health=failing")
    other_tab = person.page.context.new_page()
    other_tab.goto(f"{person.home}/account")
    client.call("DELETE", f"/users/{me}/tokens/short")
    # By itself, since it shows what changes.
    person.sees("Sign in to go on where you were.")
    other_tab.reload()
    expect(other_tab.get_by_text("Sign in to go on where you were.")).to_be_visible()
    other_tab.close()
    assert "something" not in person.text
    person.type_token(person.server.admin_token)
    person.page.wait_for_url(re.compile(r"/registries\?q=something&health=failing$"))

    person.press("Sign out")
    person.sees("You are signed out.")
    person.go("/registries")
    expect(person.page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_page_is_live_again_after_an_answer_that_is_no_stream(
    person: Person, client: ApiClient
) -> None:
    person.sign_in()
    person.go("/account")
    page, events = person.page, "**/events*"
    # As from a proxy whose server is away for a moment; chromium tells of a 5xx.
    page.route(events, lambda route: route.fulfill(status=429), times=1)
    with page.expect_response(lambda answer: "/events?" in answer.url and answer.ok):
        with page.expect_response(events) as refused:
            person.go("/registries")
        assert refused.value.status == 429
    client.create("later", "later.example.com")
    person.sees("later.example.com")


def test_what_changes_before_a_page_hears_of_changes_is_seen(
    person: Person, client: ApiClient
) -> None:
    person.sign_in()
    person.go("/account")

    def change_first(route: Route) -> None:
        client.create("between", "between.example.com")
        route.continue_()

    person.page.route("**/events*", change_first, times=1)
    person.go("/registries")
    person.sees("between.example.com")


def test_a_replica_that_has_not_heard_of_a_change_yet_is_asked_again(
    person: Person, client: ApiClient
) -> None:
    person.sign_in()
    page, home = person.page, f"**{person.home}/registries"
    person.go("/registries")
    before = page.evaluate("fetch(location.href).then((answer) => answer.text())")
    late = {"body": before, "content_type": "text/html"}
    page.route(home, lambda route: route.fulfill(**late), times=1)
    with page.expect_response(home) as answered:
        client.create("elsewhere", "elsewhere.example.com")
    assert answered.value.text() == before
    person.sees("elsewhere.example.com")


def test_a_stale_edit_shows_both(person: Person, client: ApiClient) -> None:
    client.create("shared", "shared.example.com/one")
    person.sign_in()
    person.go("/registries/shared/edit")
    theirs = {"registry": "shared.example.com/theirs", "enable_ci": True}
    client.call("PATCH", "registries/shared", json=theirs)
    person.fill("Registry", "shared.example.com/mine")
    person.press("Save without a check")
    person.sees("Somebody else changed this record meanwhile.")
    row = person.page.get_by_role("row", name="Registry")
    expect(row).to_contain_text("shared.example.com/theirs")
    expect(row).to_contain_text("shared.example.com/mine")
    expect(person.field("Registry")).to_have_value("shared.example.com/mine")
    stored = client.call("GET", "registries/shared").json()["registry"]
    assert stored == "shared.example.com/theirs"
    person.press("Save without a check")
    person.sees("The changes were saved.")
    assert client.call("GET", "registries/shared").json()["registry"] == "shared.example.com/mine"


def test_the_list_follows_what_is_typed_and_what_others_change(
    person: Person, client: ApiClient
) -> None:
    for number in range(60):
        client.create(f"many-{number:02}", f"many.example.com/{number}")
    person.sign_in()
    page = person.page
    expect(page.get_by_text("many-00")).to_be_visible()
    expect(page.get_by_text("many-55")).to_have_count(0)
    person.follow("Next page")
    expect(page.get_by_text("many-55")).to_be_visible()
    person.follow("First page")
    page.get_by_role("searchbox").fill("MANY-5")
    expect(page.get_by_text("many-55")).to_be_visible()
    expect(page.get_by_text("many-00")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"q=MANY-5$"))

    page.get_by_role("searchbox").fill("")
    page.get_by_role("heading", level=1).click()
    with ApiClient(person.server) as other:
        other.create("aaa-new", "new.example.com")
    expect(page.get_by_text("aaa-new")).to_be_visible()
    client.call("DELETE", "registries/aaa-new")
    expect(page.get_by_text("aaa-new")).to_have_count(0)


def test_a_late_answer_does_not_bring_an_earlier_filter_back(
    person: Person, client: ApiClient
) -> None:
    for number in range(2):
        client.create(f"late-{number}", f"late.example.com/{number}")
    person.sign_in()
    page, search = person.page, person.page.get_by_role("searchbox")
    search.fill("late-0")
    expect(page.get_by_text("late-1")).to_have_count(0)
    page.get_by_role("heading", level=1).click()
    held: list[Route] = []
    page.route(re.compile(r"q=late-0$"), lambda route: held.append(route))
    with page.expect_request(re.compile(r"q=late-0$")):
        client.create("late-2", "late.example.com/2")
    search.fill("late")
    expect(page.get_by_text("late-2")).to_be_visible()
    page.get_by_role("heading", level=1).click()
    # What was asked for with the earlier filter is asked for anew.
    with page.expect_request(re.compile(r"q=late$")):
        held[0].continue_()
    expect(page.get_by_text("late-1")).to_be_visible()


def test_a_status_that_changes_is_seen_at_once(
    person: Person, registry: DockerRegistry, client: ApiClient
) -> None:
    client.create("watched", registry.address, "wrong")
    person.sign_in()
    row = person.page.get_by_role("row", name="watched")
    expect(row).to_contain_text("not checked")
    client.call("POST", "registries/watched/actions/check")
    expect(row).to_contain_text("failing")


def test_a_credential_is_revealed_in_a_step_of_its_own(person: Person, client: ApiClient) -> None:
    client.create("kept", "kept.example.com", "canary-revealed")
    person.sign_in()
    person.go("/registries/kept")
    person.follow("Show the credential…")
    assert "canary-revealed" not in person.page.content()
    person.press("Show it")
    expect(person.page.locator("#password")).to_have_text("canary-revealed")
    person.follow("Hide it")
    assert "canary-revealed" not in person.page.content()


def test_one_of_several_organizations_is_chosen(browser: Browser, tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data") as server:
        me = json.loads(server.cli("whoami", "--output", "json").stdout)["id"]
        server.stop()
        # No operation puts a user into a second organization yet.
        with sqlite3.connect(server.data_dir / "pullpass.db") as database:
            database.execute(
                "INSERT INTO organizations (id, name, created_at, created_by) "
                "VALUES ('globex', 'Globex', 0, ?)",
                (me,),
            )
            database.execute(
                "INSERT INTO memberships (organization_id, user_id, role) "
                "VALUES ('globex', ?, 'reader')",
                (me,),
            )
        database.close()
        server.start()
        with Person.at(browser, server) as person:
            person.page.goto("/ui/")
            person.type_token(server.admin_token)
            person.page.get_by_role("link", name="Globex").click()
            person.sees("An administrator or editor of this organization adds them.")
            person.follow("globex")
            person.sees("Choose an organization")
