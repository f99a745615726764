"""The whole application over a real SQLite file, called through its ASGI interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pullpass.domain.identity import Role
from pullpass.server import founding, settings
from pullpass.server.application import open_application

ORGANIZATION = "acme"


@dataclass(frozen=True, slots=True)
class Api:
    """An HTTP client with an administrator's token, and a way to make others."""

    http: httpx.AsyncClient
    data_dir: Path
    admin_id: str
    admin_token: str

    def as_(self, token: str | None) -> dict[str, str]:
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    async def call(
        self, method: str, path: str, token: str | None = "", **options: Any
    ) -> httpx.Response:
        """A call as the administrator, or with another token (None: without any)."""
        headers = self.as_(self.admin_token if token == "" else token)
        headers |= options.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **options)

    async def token_for(self, role: str, cluster: str | None = None) -> str:
        """A token of a new service user with ``role``."""
        body: dict[str, str] = {"name": f"{role}-user", "role": role}
        if role == Role.CLUSTER:
            body["cluster"] = cluster or "prod"
        user = await self.call("POST", f"/orgs/{ORGANIZATION}/users", json=body)
        assert user.status_code == 201, user.text
        return await self.token_of(user.json()["id"])

    async def token_of(self, user_id: str, **fields: str) -> str:
        body = {"id": "first", "type": "static", **fields}
        answer = await self.call("POST", f"/users/{user_id}/tokens", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    async def create(self, **fields: Any) -> httpx.Response:
        return await self.call("POST", f"/orgs/{ORGANIZATION}/registries", json=fields)


def options_for(data_dir: Path, **options: str) -> settings.Settings:
    return settings.load({"data_dir": str(data_dir), **options}, environment={})


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async for found in open_api(tmp_path / "data"):
        yield found


async def open_api(data_dir: Path, **options: str) -> AsyncIterator[Api]:
    """A fresh organization `acme` on a server over ``data_dir``."""
    chosen = options_for(data_dir, **options)
    founded = await founding.found(chosen, ORGANIZATION, "Acme")
    async with open_application(chosen) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pullpass") as http:
            yield Api(http, data_dir, founded.user_id, founded.token.reveal())
