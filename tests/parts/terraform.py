"""What Terraform and the public provider's `humanitec_registry` do over HTTP, replayed.

The provider cannot be had here, so this says again what its source does
(https://github.com/humanitec/terraform-provider-humanitec, internal/provider/resource_registry.go
at 7b314bf, and the client that it uses, humanitec/humanitec-go-autogen): which requests, in which
form, which statuses it takes for what, and which fields it keeps in its state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

Block = dict[str, Any]
"""The arguments of a `humanitec_registry` block, or the state that Terraform keeps of it."""

# Attributes with the plan modifier RequiresReplace.
_REPLACING = ("id", "type")


class ProviderError(Exception):
    """A diagnostic by which an apply fails."""

    def __init__(self, summary: str, answer: httpx.Response) -> None:
        super().__init__(f"{summary}: {answer.status_code}, body: {answer.text}")
        self.status = answer.status_code


@dataclass
class Terraform:
    """One resource with its state. ``sent`` is every request: method, path and body."""

    url: str
    organization: str
    token: str = field(repr=False)
    state: Block | None = None
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    def plan(self, config: Block) -> list[str]:
        """Refreshes, and returns the attributes that differ from the configuration."""
        if self.state is not None:
            self.state = self._read(self.state)
        state = self.state or {}
        return [name for name, value in config.items() if state.get(name) != value]

    def apply(self, config: Block) -> str:
        """`terraform apply`; returns what was done: created, updated, replaced or nothing."""
        changes = self.plan(config)
        if self.state is None:
            done, self.state = "created", self._create(config)
        elif not changes:
            return "nothing"
        elif set(changes) & set(_REPLACING):
            self.destroy()
            done, self.state = "replaced", self._create(config)
        else:
            done, self.state = "updated", self._update(config)
        # Terraform itself: "Provider produced inconsistent result after apply".
        assert self.state == config, f"planned {config}, and the state is {self.state}"
        return done

    def import_(self, record_id: str) -> None:
        """`terraform import`: the id is set, and the resource read."""
        self.state = self._read({"id": record_id})
        assert self.state is not None, "Cannot import non-existent remote object"

    def destroy(self) -> None:
        assert self.state is not None
        answer = self._send("DELETE", f"/{self.state['id']}")
        if answer.status_code != 204:
            raise ProviderError("Unable to delete registry", answer)
        self.state = None

    def _create(self, config: Block) -> Block:
        answer = self._send("POST", "", _request(config))
        if answer.status_code != 201:
            raise ProviderError("Unable to create registry", answer)
        return _parsed(answer, config)

    def _read(self, state: Block) -> Block | None:
        answer = self._send("GET", f"/{state['id']}")
        if answer.status_code == 404:
            # A warning, "The registry was deleted outside Terraform", and RemoveResource.
            return None
        if answer.status_code != 200:
            raise ProviderError("Unable to get registry", answer)
        return _parsed(answer, state)

    def _update(self, config: Block) -> Block:
        assert self.state is not None
        answer = self._send("PATCH", f"/{self.state['id']}", _request(config))
        if answer.status_code != 200:
            raise ProviderError("Unable to update registry", answer)
        return _parsed(answer, config)

    def _send(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        path = f"/orgs/{self.organization}/registries{path}"
        self.sent.append((method, path, body))
        headers = {
            "User-Agent": "Go-http-client/1.1",
            "Accept-Encoding": "gzip",
            "Authorization": f"Bearer {self.token}",
            "Humanitec-User-Agent": "app humanitec-terraform-provider/1; sdk "
            "humanitec-go-autogen/latest",
            **({"Content-Type": "application/json"} if body else {}),
        }
        return httpx.request(
            method, self.url + path, content=body or None, headers=headers, trust_env=False
        )


def _request(config: Block) -> bytes:
    """parseRegistryModel, as encoding/json writes it: sorted fields, none that is nil, and
    `<`, `>` and `&` escaped (https://pkg.go.dev/encoding/json#Marshal).
    """
    names = ("creds", "enable_ci", "id", "registry", "secrets", "type")
    given = {name: config[name] for name in names if config.get(name) is not None}
    text = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _parsed(answer: httpx.Response, before: Block) -> Block:
    """parseRegistryResponse: what the answer says, over what stays of ``before``."""
    # The client parses an answer only where its type is JSON; without that, the provider panics.
    assert "json" in answer.headers["Content-Type"]
    said = answer.json()
    assert isinstance(said["enable_ci"], bool)
    state = {**before, **{name: said[name] for name in ("id", "registry", "type", "enable_ci")}}
    if said.get("secrets") is not None:
        state["secrets"] = said["secrets"]
    return state
