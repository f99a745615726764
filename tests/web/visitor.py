"""A browser without a script, over the application's ASGI interface."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.api.conftest import Api

HOME = "/ui/orgs/acme"


@dataclass
class Visitor:
    """A browser without a script: it keeps the cookie and knows the key of its forms."""

    api: Api
    cookies: dict[str, str] = field(default_factory=dict)
    form_key: str = ""

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return self._note(await self._send("GET", path, **options))

    async def post(
        self, path: str, fields: Mapping[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """A form with its key, as one of the server's own pages sends it."""
        body = urlencode({"form_key": self.form_key, **(fields or {})})
        return self._note(await self._send("POST", path, content=body.encode(), **options))

    async def sign_in(self, token: str) -> None:
        answer = await self.post("/ui/sign-in", {"token": token})
        assert answer.status_code == 303, answer.text
        await self.get(f"{HOME}/account")

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        # The client is shared: another visitor's cookie must not come along.
        self.api.http.cookies.clear()
        headers = {"Host": "pullpass", "Origin": "http://pullpass"} | options.pop("headers", {})
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        return await self.api.http.request(method, path, headers=headers, **options)

    def _note(self, answer: httpx.Response) -> httpx.Response:
        for header in answer.headers.get_list("set-cookie"):
            name, _, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value
        if key := re.search(r'name="form_key" value="(\w+)"', answer.text):
            self.form_key = key[1]
        return answer
