"""Every page as a picture, in light, dark and on a phone: to look at before a change goes out.

python -m scripts.screenshots [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.parts.browser import chromium
from tests.parts.provider import OpenIdProvider, a_client_of
from tests.parts.registry import docker_registry
from tests.parts.server import PullpassServer
from tests.web.person import Person
from tests.web.tour import STOPS, furnish

_LOOKS: Mapping[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "phone": {
        "color_scheme": "light",
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
# The last is the answer to another browser's sign-in.
_SIGN_IN = {
    "sign-in": "/ui/sign-in",
    "signed-out": "/ui/sign-in?notice=signed-out-here",
    "sign-in-failed": "/ui/sign-in/callback",
}


def main() -> None:
    """Writes the pictures into the folder, by default `screenshots`."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pullpass-screenshots-") as place,
        docker_registry(Path(place), users={"robot": "the registry's password"}) as registry,
        OpenIdProvider() as provider,
        a_client_of(provider, Path(place)) as server,
        chromium() as browser,
    ):
        for look, options in _LOOKS.items():
            with Person.at(browser, server, **options) as person:
                for name, path in _SIGN_IN.items():
                    person.page.goto(path)
                    _take(person, folder / f"{name}-{look}.png")
                person.sign_in()
                _take(person, folder / f"empty-{look}.png")
                person.go("/clusters")
                _take(person, folder / f"clusters-empty-{look}.png")
        registry.push_tiny_image("team/app", "1")
        furnish(server, registry.address)
        for look, options in _LOOKS.items():
            _walk(browser, server, folder, look, options)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")  # noqa: T201


def _walk(
    browser: Browser, server: PullpassServer, folder: Path, look: str, options: dict[str, Any]
) -> None:
    with Person.at(browser, server, **options) as person:
        person.sign_in()
        for stop in STOPS:
            stop.visit(person)
            _take(person, folder / f"{stop.name}-{look}.png")


def _take(person: Person, path: Path) -> None:
    person.page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    main()
