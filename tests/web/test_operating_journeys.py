"""What somebody who runs clusters does on the pages, in chromium."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pullpass.client.clusters import Problem, RegistryReport
from pullpass.client.sync import Client
from tests.parts.api_client import ApiClient
from tests.parts.registry import DockerRegistry
from tests.parts.server import PullpassServer
from tests.web.conftest import REGISTRY_PASSWORD
from tests.web.person import Person
from tests.web.test_accessibility import violations


def report(server: PullpassServer, cluster: str, *registries: RegistryReport) -> None:
    with Client(server.url, server.organization, server.admin_token) as agent:
        changes = agent.changes()
        assert changes is not None
        agent.clusters.report(
            cluster,
            version="1.2.3",
            mode="needed",
            revision=changes.revision,
            namespaces=7,
            registries=registries,
        )


def test_what_was_typed_outlives_a_server_that_is_away(person: Person, client: ApiClient) -> None:
    person.sign_in()
    person.go("/new-registry/other")
    person.fill("Name", "office")
    person.fill("Registry", "office.example.com")
    person.fill("User name", "robot")
    person.fill("Password or token", "typed once")
    # As from a proxy; chromium tells of a 5xx.
    bad_gateway = {"status": 404, "content_type": "text/html", "body": "<h1>Bad Gateway</h1>"}
    person.page.route("**/other", lambda route: route.fulfill(**bad_gateway), times=1)
    person.press("Save without a check")
    person.sees("The server, or a proxy before it, answered 404. What you typed is still here")
    person.press("Save without a check")
    person.sees("The record was created")
    answer = client.call("GET", "registries/office/creds").json()
    assert answer["password"] == "typed once"


def test_a_cluster_from_the_first_report_to_its_end(person: Person, client: ApiClient) -> None:
    page, server = person.page, person.server
    client.create("ghcr", "ghcr.io/acme")
    person.sign_in()
    person.follow("Clusters")
    person.sees("No clusters yet")
    person.sees("--cluster eu-1 --output json")
    assert server.url in person.text
    assert violations(page) == []

    # Nobody reloads the page: it hears of each report.
    report(server, "eu-1", RegistryReport("ghcr", 2, 0, 0, held_in=("shop", "web")))
    row = page.get_by_role("row", name="eu-1")
    expect(row).to_contain_text("connected")
    expect(row).to_contain_text("1.2.3, mode needed")
    expect(row).to_contain_text("all changes")
    client.create("later", "later.example.com")
    expect(row).to_contain_text("1 change behind")
    person.follow("eu-1")
    expect(page.get_by_role("row", name="ghcr")).to_contain_text("shop, web")
    taken = Problem("bank", "secret_taken", "Another secret has the name.")
    report(server, "eu-1", RegistryReport("ghcr", 2, 0, 1, (taken,), held_in=("shop", "web")))
    expect(page.get_by_role("row", name="bank")).to_contain_text("Another secret has the name.")
    page.get_by_role("searchbox").fill("nothing-like-it")
    person.sees("Nothing matches")
    page.get_by_role("searchbox").fill("BANK")
    expect(page.get_by_role("row", name="bank")).to_be_visible()

    page.get_by_role("link", name="ghcr").first.click()
    held = page.get_by_role("row", name="eu-1")
    expect(held).to_contain_text("shop, web")
    expect(held).to_contain_text("failed in bank")
    page.get_by_role("link", name="eu-1").click()
    person.follow("Forget")
    page.get_by_role("textbox").fill("eu-2")
    person.press("Forget it")
    person.sees("This is not the cluster's name.")
    page.get_by_role("textbox").fill("eu-1")
    person.press("Forget it")
    person.sees("The cluster was forgotten.")
    person.sees("No clusters yet")


def test_the_health_of_a_record_over_time(
    person: Person, registry: DockerRegistry, client: ApiClient
) -> None:
    client.create("office", registry.address, "wrong")
    for password in ("wrong", REGISTRY_PASSWORD, "wrong"):
        creds = {"username": "robot", "password": password}
        client.call("PATCH", "registries/office", json={"creds": creds})
        for _ in range(2):
            client.call("POST", "registries/office/actions/check")
    person.sign_in()
    person.go("/registries/office")
    page = person.page
    chart = page.get_by_role("img", name="Checks over time: 6 in all, 4 failed.")
    expect(chart).to_be_visible()
    assert chart.locator("rect").count() == 3
    page.get_by_text("All results").click()
    results = page.get_by_role("region", name="Results of checks").get_by_role("rowheader")
    expect(results).to_have_text(["unauthorized", "works", "unauthorized"])
    assert violations(page) == []


@pytest.mark.parametrize("script", [True, False])
def test_a_form_that_came_too_late_is_there_after_the_sign_in(
    browser: Browser, server: PullpassServer, client: ApiClient, script: bool
) -> None:
    me = client.call("GET", "/current-user").json()["id"]
    token = f"short-{script}".lower()
    made = client.call("POST", f"/users/{me}/tokens", json={"id": token, "type": "static"})
    with Person.at(browser, server, java_script_enabled=script) as person:
        person.sign_in(made.json()["token"])
        person.go("/new-registry/other")
        person.fill("Name", "late")
        person.fill("Registry", "late.example.com")
        person.fill("User name", "robot")
        person.fill("Password or token", "canary-typed-late")
        client.call("DELETE", f"/users/{me}/tokens/{token}")
        person.press("Save without a check")
        person.sees("Sign in to go on where you were.")
        person.type_token(server.admin_token)
        person.sees("What you typed is back in it")
        assert client.call("GET", "registries").json() == []
        expect(person.field("Name")).to_have_value("late")
        expect(person.field("User name")).to_have_value("robot")
        expect(person.field("Password or token")).to_have_value("")
        person.fill("Password or token", "typed again")
        person.press("Save without a check")
        person.sees("The record was created.")
        assert client.password_for("late.example.com/app") == "typed again"


@pytest.mark.parametrize("script", [True, False])
def test_credentials_are_imported(
    browser: Browser, server: PullpassServer, client: ApiClient, tmp_path: Path, script: bool
) -> None:
    auth = base64.b64encode(b"bot:canary-from-a-file").decode()
    auths = {"quay.io/acme": {"auth": auth}, "there.example.com": {"auth": auth}}
    config = json.dumps({"auths": auths})
    client.create("there", "there.example.com", "another")
    client.call("DELETE", "registries/there")
    with Person.at(browser, server, java_script_enabled=script) as person:
        page = person.page
        person.sign_in()
        person.sees("No registries yet")
        person.follow("Import them")
        person.press("Show the plan")
        person.sees("Paste a Docker config or a pull secret.")
        client.create("there", "there.example.com", "another")
        if script:
            file = tmp_path / "config.json"
            file.write_text(config)
            page.get_by_label("From a file").set_input_files(file)
            expect(person.field("Docker config or pull secret")).to_have_value(config)
        else:
            expect(page.get_by_label("From a file")).to_be_hidden()
            person.fill("Docker config or pull secret", config)
        person.press("Show the plan")
        expect(page.get_by_role("row", name="quay.io/acme")).to_contain_text("new")
        expect(page.get_by_role("row", name="there.example.com")).to_contain_text("differs")
        assert auth not in page.content()
        person.press("Create 1 record")
        person.sees("1 of 1 record was created.")
        person.follow("To the registries")
        person.sees("quay-io-acme")
        assert client.password_for("quay.io/acme/app") == "canary-from-a-file"
        assert client.password_for("there.example.com/app") == "another"


def test_the_log_is_downloaded(person: Person, client: ApiClient) -> None:
    client.create("logged", "logged.example.com")
    person.sign_in()
    person.go("/audit?registry_id=logged")
    with person.page.expect_download() as found:
        person.follow("Download as JSON lines")
    assert found.value.suggested_filename.endswith(".jsonl")
    lines = Path(found.value.path()).read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["registry.create"]
