"""A GitLab in miniature: deploy tokens, made and ended as its API makes and ends them.

After https://docs.gitlab.com/api/deploy_tokens/ and lib/api/deploy_tokens.rb of GitLab.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import quote, unquote

from tests.parts.certificates import Certificates
from tests.parts.stand_in import StandIn
from tests.parts.wire import Received, Scripted, answer

Role = Literal["Developer", "Maintainer", "Owner"]
_PATH = re.compile(r"/api/v4/(projects|groups)/([^/]+)/deploy_tokens(?:/([0-9]+))?")
_SCOPES = {"read_repository", "read_registry", "write_registry", "read_package_registry"}
_NEEDED: Mapping[str, tuple[Role, ...]] = {
    "projects": ("Maintainer", "Owner"),
    "groups": ("Owner",),
}


@dataclass(frozen=True, slots=True)
class ApiToken:
    """``roles``: what its owner is, by `projects/<id or path>` and `groups/<id or path>`."""

    roles: Mapping[str, Role]
    scopes: tuple[str, ...] = ("api",)


@dataclass(frozen=True, slots=True)
class DeployToken:
    """``holder``: `projects/<id or path>` or `groups/<id or path>`."""

    id: int
    holder: str
    name: str
    username: str
    scopes: tuple[str, ...]
    expires: datetime | None
    token: str = field(default_factory=lambda: f"gldt-{secrets.token_urlsafe(15)}")


class GitlabServer(StandIn):
    """``api_tokens``: who may call, by their token. ``deploy_tokens``: the live ones, by id.
    ``lifetime``: seconds after which it lets tokens end, whatever was asked for.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.api_tokens: dict[str, ApiToken] = {}
        self.deploy_tokens: dict[int, DeployToken] = {}
        self.lifetime: float | None = None
        self._made = 0
        super().__init__(certificates)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def accepts(self, username: str, password: str) -> bool:
        """Whether these log in to the registry now."""
        return any(
            (each.username, each.token) == (username, password)
            and (each.expires is None or each.expires > self.now())
            for each in self.deploy_tokens.values()
        )

    def handle(self, request: Received) -> Scripted:
        found = _PATH.fullmatch(request.target)
        if found is None:
            return answer({"error": "404 Not Found"}, 404)
        kind, holder = found[1], f"{found[1]}/{unquote(found[2])}"
        caller = self.api_tokens.get(request.headers.get("private-token", ""))
        if caller is None:
            return answer({"message": "401 Unauthorized"}, 401)
        if "api" not in caller.scopes:
            return answer({"error": "insufficient_scope", "scope": "api"}, 403)
        role = caller.roles.get(holder)
        # A path has to come percent-encoded, as one segment.
        if role is None or quote(unquote(found[2]), safe="") != found[2]:
            return answer({"message": f"404 {kind[:-1].title()} Not Found"}, 404)
        if role not in _NEEDED[kind]:
            return answer({"message": "403 Forbidden"}, 403)
        if request.method == "POST" and found[3] is None:
            return self._create(holder, request)
        if request.method == "DELETE" and found[3] is not None:
            return self._delete(holder, int(found[3]))
        return answer({"error": "405 Not Allowed"}, 405)

    def _create(self, holder: str, request: Received) -> Scripted:
        if request.headers.get("content-type") != "application/json":
            return answer({"error": "The provided content-type is not supported."}, 406)
        fields = json.loads(request.body)
        name, scopes = fields.get("name"), fields.get("scopes")
        if not isinstance(name, str) or not 1 <= len(name) <= 255:
            return answer({"error": "name is missing"}, 400)
        if not isinstance(scopes, list) or not scopes or not set(scopes) <= _SCOPES:
            return answer({"error": "scopes does not have a valid value"}, 400)
        try:
            expires = _moment(fields.get("expires_at"))
        except (TypeError, ValueError):
            return answer({"error": "expires_at is invalid"}, 400)
        if self.lifetime is not None:
            expires = self.now() + timedelta(seconds=self.lifetime)
        self._made += 1
        made = DeployToken(
            self._made,
            holder,
            name,
            f"gitlab+deploy-token-{self._made}",
            tuple(scopes),
            expires,
        )
        self.deploy_tokens[made.id] = made
        return answer(
            {
                "id": made.id,
                "name": made.name,
                "username": made.username,
                "token": made.token,
                "expires_at": expires and f"{expires:%Y-%m-%dT%H:%M:%S}.000Z",
                "revoked": False,
                "expired": False,
                "scopes": scopes,
            },
            201,
        )

    def _delete(self, holder: str, token_id: int) -> Scripted:
        found = self.deploy_tokens.get(token_id)
        if found is None or found.holder != holder:
            return answer({"message": "404 DeployToken Not Found"}, 404)
        del self.deploy_tokens[token_id]
        return Scripted(204, b"")


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
