"""Calls to a running server, as its administrator or with another token."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.parts.server import PullpassServer


class ApiClient:
    """An HTTP client for one server; use it as a context manager."""

    def __init__(
        self, server: PullpassServer, token: str | None = None, *, seconds: float = 30
    ) -> None:
        self._organization = server.organization
        self._http = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {token or server.admin_token}"},
            timeout=seconds,
        )

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """``path`` as it is where it begins with a slash, else within the organization."""
        if not path.startswith("/"):
            path = f"/orgs/{self._organization}/{path}"
        return self._http.request(method, path, **options)

    def create(self, record_id: str, registry: str, password: str = "pw") -> httpx.Response:
        creds = {"username": "bot", "password": password}
        body = {"id": record_id, "registry": registry, "type": "basic", "creds": creds}
        return self.call("POST", "registries", json=body)

    def password_for(self, image: str) -> str | None:
        answer = self.call("GET", "image-creds", params={"image": image})
        return str(answer.json()["password"]) if answer.status_code == 200 else None


def eventually(ask: Callable[[], object], expected: object, seconds: float = 60) -> None:
    """Asks until the answer is ``expected``; fails with the last answer."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) != expected:
        assert time.monotonic() < deadline, f"still {answer!r}, expected {expected!r}"
        time.sleep(0.02)
