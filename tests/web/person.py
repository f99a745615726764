"""Somebody at a browser: what a user does on the pages, and what nobody should ever see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.parts.server import PullpassServer

# What chromium says of an answer that is an error on purpose.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")

# The machine may be busy with other tests.
_PATIENCE_MILLISECONDS = 20_000
expect.set_options(timeout=_PATIENCE_MILLISECONDS)


@dataclass
class Person:
    """``page`` is their tab."""

    page: Page
    server: PullpassServer
    complaints: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def at(cls, browser: Browser, server: PullpassServer, **options: Any) -> Iterator[Person]:
        """Fails where the browser complained: a script error, or something that the
        Content-Security-Policy refused.
        """
        context = browser.new_context(base_url=server.url, **options)
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        person = cls(context.new_page(), server)
        person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
        person.page.on("console", person._note)
        try:
            yield person
        finally:
            context.close()
        assert person.complaints == []

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.match(message.text):
            self.complaints.append(message.text)

    @property
    def home(self) -> str:
        return f"/ui/orgs/{self.server.organization}"

    def go(self, path: str) -> None:
        """To a page of the organization, like ``/registries``."""
        self.page.goto(f"{self.home}{path}")

    def sign_in(self, token: str | None = None) -> None:
        self.page.goto("/ui/sign-in")
        self.type_token(token or self.server.admin_token)
        self.page.wait_for_url(re.compile(r"/ui/orgs/"))

    def type_token(self, token: str) -> None:
        self.page.get_by_label("Token").fill(token)
        self.press("Sign in")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def field(self, label: str) -> Locator:
        """The field with this label, the first of several."""
        return self.page.get_by_label(label).first

    def fill(self, label: str, text: str) -> None:
        self.field(label).fill(text)

    def sees(self, text: str) -> None:
        """Waits until ``text`` stands on the page."""
        self.page.get_by_text(text).first.wait_for()

    @property
    def text(self) -> str:
        return self.page.inner_text("body")
