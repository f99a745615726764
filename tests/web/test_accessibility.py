"""axe (https://github.com/dequelabs/axe-core) on every page, light and dark: no violations."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.parts.registry import DockerRegistry
from tests.parts.server import PullpassServer
from tests.web.person import Person
from tests.web.tour import STOPS, Stop, furnish

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def furnished(server: PullpassServer, registry: DockerRegistry) -> PullpassServer:
    furnish(server, registry.address)
    return server


@pytest.fixture(scope="module", params=["light", "dark"])
def person(
    request: pytest.FixtureRequest, browser: Browser, furnished: PullpassServer
) -> Iterator[Person]:
    with Person.at(browser, furnished, color_scheme=request.param) as found:
        found.sign_in()
        yield found


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_a_page_has_no_violations(person: Person, stop: Stop) -> None:
    stop.visit(person)
    assert violations(person.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_page_has_no_violations(
    browser: Browser, furnished: PullpassServer, scheme: str
) -> None:
    with Person.at(browser, furnished, color_scheme=scheme) as person:
        person.page.goto("/ui/sign-in")
        assert violations(person.page) == []
        person.type_token("wrong")
        person.sees("The token is malformed")
        assert violations(person.page) == []


def test_the_keyboard_reaches_the_content_at_once(
    browser: Browser, furnished: PullpassServer
) -> None:
    with Person.at(browser, furnished) as person:
        person.sign_in()
        person.go("/registries")
        person.page.keyboard.press("Tab")
        assert person.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        person.page.keyboard.press("Enter")
        assert person.page.evaluate("document.activeElement.id") == "main"


def test_on_a_phone_no_list_is_cut_off(browser: Browser, furnished: PullpassServer) -> None:
    with Person.at(browser, furnished, viewport={"width": 390, "height": 844}) as person:
        person.sign_in()
        person.go("/users")
        member = person.page.get_by_role("link", name="build pipeline").get_attribute("href")
        lists = ("registries", "users", "trust", "account", "clusters", "audit")
        for path in (*(f"{person.home}/{name}" for name in lists), str(member)):
            person.page.goto(path)
            # What a role may do is a table that no phone is wide enough for.
            cut = person.page.evaluate(
                "[...document.querySelectorAll('.scroll:not(:has(.matrix))')]"
                ".filter(each => each.scrollWidth > each.clientWidth).length"
            )
            assert cut == 0, path


def violations(page: Page) -> list[Any]:
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")["violations"]
    return [
        (rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]]) for rule in found
    ]
