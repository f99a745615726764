"""Sequences of calls that nobody thought of, held against a model of what must be true then."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from pullpass.domain.access import PERMISSIONS, Action
from pullpass.domain.identity import Role
from tests.api.conftest import Api, open_api

_T = TypeVar("_T")
ROLES = tuple(role for role in Role if role is not Role.CLUSTER)
IDS = st.sampled_from(["one", "two", "three"])
PREFIXES = st.sampled_from(["ghcr.io", "ghcr.io/acme", "GHCR.io/acme/", "quay.io", "docker.io"])
PASSWORDS = st.sampled_from(["first", "second", "' -- \u00e4\n{}"])


@asynccontextmanager
async def an_api(folder: Path) -> AsyncIterator[Api]:
    opened = open_api(folder)
    try:
        yield await anext(opened)
    finally:
        await opened.aclose()  # type: ignore[attr-defined]


def normalized(prefix: str) -> str:
    return prefix.lower().rstrip("/")


class Sequences(RuleBasedStateMachine):
    """Users come with roles, get tokens, change records, read credentials, and are taken away; the
    model knows each record's prefix and password, and what each token may do.
    """

    tokens: Bundle[str] = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory()
        self._opened = an_api(Path(self._folder.name) / "data")
        self._api = self._wait(self._opened.__aenter__())
        self._records: dict[str, tuple[str, str]] = {}
        self._roles: dict[str, Role] = {}
        self._users: dict[str, str] = {}
        self._gone: set[str] = set()

    def teardown(self) -> None:
        self._wait(self._opened.__aexit__(None, None, None))
        self._loop.close()
        self._folder.cleanup()

    def _wait(self, awaited: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(awaited)

    def _call(self, method: str, path: str, token: str = "", **options: Any) -> httpx.Response:
        answer = self._wait(self._api.call(method, path, token, **options))
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert set(answer.json()) <= {"error", "code", "details"}
        return answer

    def _refused(self, token: str, action: Action, answer: httpx.Response) -> bool:
        """Whether the token is refused, and if so, rightly."""
        if token in self._gone:
            assert answer.status_code == 401
            return True
        if action not in PERMISSIONS[self._roles[token]]:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            return True
        assert answer.status_code not in (401, 403)
        return False

    @initialize(target=tokens)
    def the_administrator(self) -> str:
        token = self._api.admin_token
        self._roles[token] = Role.ADMIN
        self._users[token] = self._api.admin_id
        return token

    @rule(target=tokens, role=st.sampled_from(ROLES))
    def a_user_comes(self, role: Role) -> str:
        body = {"name": "somebody", "role": role}
        user = self._call("POST", "/orgs/acme/users", json=body).json()["id"]
        token = self._wait(self._api.token_of(user))
        self._roles[token], self._users[token] = role, user
        return token

    @rule(target=tokens, token=consumes(tokens))
    def a_user_goes(self, token: str) -> Any:
        if token != self._api.admin_token and token not in self._gone:
            gone = self._call("DELETE", f"/orgs/acme/users/{self._users[token]}")
            assert gone.status_code == 204, gone.text
            self._gone.add(token)
        return multiple(token)

    @rule(token=tokens, role=st.sampled_from(ROLES))
    def a_role_changes(self, token: str, role: Role) -> None:
        if token != self._api.admin_token and token not in self._gone:
            path = f"/orgs/acme/users/{self._users[token]}"
            changed = self._call("PATCH", path, json={"role": role})
            assert changed.status_code == 200, changed.text
            self._roles[token] = role

    @rule(token=tokens, record=IDS, prefix=PREFIXES, password=PASSWORDS)
    def a_record_is_created(self, token: str, record: str, prefix: str, password: str) -> None:
        creds = {"username": "bot", "password": password}
        body = {"id": record, "registry": prefix, "type": "basic", "creds": creds}
        answer = self._call("POST", "/orgs/acme/registries", token, json=body)
        if self._refused(token, Action.WRITE_RECORDS, answer):
            return
        taken = {normalized(kept) for kept, _ in self._records.values()}
        if record in self._records or normalized(prefix) in taken:
            assert answer.status_code == 409
        else:
            assert answer.status_code == 201, answer.text
            self._records[record] = (prefix, password)

    @rule(token=tokens, record=IDS, password=PASSWORDS)
    def a_password_changes(self, token: str, record: str, password: str) -> None:
        body = {"creds": {"username": "bot", "password": password}}
        answer = self._call("PATCH", f"/orgs/acme/registries/{record}", token, json=body)
        if self._refused(token, Action.WRITE_RECORDS, answer):
            return
        assert answer.status_code == (200 if record in self._records else 404)
        if record in self._records:
            self._records[record] = (self._records[record][0], password)

    @rule(token=tokens, record=IDS)
    def a_record_is_deleted(self, token: str, record: str) -> None:
        answer = self._call("DELETE", f"/orgs/acme/registries/{record}", token)
        if self._refused(token, Action.WRITE_RECORDS, answer):
            return
        assert answer.status_code == (204 if record in self._records else 404)
        self._records.pop(record, None)

    @rule(token=tokens, record=IDS)
    def a_credential_is_read(self, token: str, record: str) -> None:
        answer = self._call("GET", f"/orgs/acme/registries/{record}/creds", token)
        if answer.status_code == 200:
            assert token not in self._gone
            # A job gets those of records for CI alone, and none of these is.
            assert self._roles[token] in (Role.ADMIN, Role.PULLER)
            assert answer.json()["password"] == self._records[record][1]
        elif token not in self._gone and self._roles[token] in (Role.ADMIN, Role.PULLER):
            assert answer.status_code == 404
            assert record not in self._records

    @invariant()
    def the_list_is_what_the_model_says(self) -> None:
        found = self._call("GET", "/orgs/acme/registries").json()
        assert {(each["id"], each["registry"]) for each in found} == {
            (name, prefix) for name, (prefix, _) in self._records.items()
        }
        assert not any("creds" in each for each in found)


TestSequences = Sequences.TestCase
TestSequences.settings = settings(
    max_examples=4,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
