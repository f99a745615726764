"""Load on a running server, and the book of what it acknowledged: whatever is done to the server
meanwhile, all that is in the book must be true afterwards.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.parts.api_client import ApiClient
from tests.parts.server import PullpassServer

# Longer than anything that the server waits for: who waits longer than this hangs.
PATIENCE = 60
_RECORDS_OF_A_WORKER = 8
_PAUSE_SECONDS = 0.05
# Few: too many unknown tokens from one address are refused for a minute.
_REVOKED_TO_TRY = 5


@dataclass
class Book:
    """What may be true of each thing; where only one is possible, that was acknowledged.

    ``records``: the passwords that a record may have, None where it may not be there;
    ``tokens``: whether a token may be valid; ``logged``: the ids of the calls that must be in
    the audit log; ``outcomes``: how many calls went how; ``wrong``: answers that must not be.
    """

    records: dict[str, set[str | None]] = field(default_factory=dict)
    tokens: dict[str, set[bool]] = field(default_factory=dict)
    logged: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return len(self.logged)

    @property
    def refused(self) -> int:
        return sum(n for name, n in self.outcomes.copy().items() if name.startswith("503"))

    def told(self) -> str:
        return ", ".join(f"{count} x {name}" for name, count in self.outcomes.most_common())

    def check(self, client: ApiClient) -> None:
        """Holds the book against the server, and forgets what is no longer open."""
        assert self.wrong == []
        listed = {record["id"] for record in client.call("GET", "registries").json()}
        for name, possible in self.records.items():
            found = None
            if name in listed:
                answer = client.call("GET", f"registries/{name}/creds")
                assert answer.status_code == 200, f"{name} does not open: {answer.text}"
                found = answer.json()["password"]
            assert found in possible, f"{name} has {found!r}, and not one of {possible}"
            self.records[name] = {found}
        revoked = [token for token, possible in self.tokens.items() if possible == {False}]
        for token in [t for t in self.tokens if t not in revoked] + revoked[-_REVOKED_TO_TRY:]:
            headers = {"Authorization": f"Bearer {token}"}
            status = client.call("GET", "/current-user", headers=headers).status_code
            assert status in (200, 401)
            assert (status == 200) in self.tokens[token], f"a token answers with {status}"
            self.tokens[token] = {status == 200}
        for token in revoked:
            del self.tokens[token]
        for name in [name for name, possible in self.records.items() if possible == {None}]:
            del self.records[name]

    def check_log(self, server: PullpassServer) -> int:
        """Looks for all that was acknowledged in the audit log; returns its length."""
        exported = server.cli("audit", "export")
        assert exported.returncode == 0, exported.stderr
        entries = [json.loads(line) for line in exported.stdout.splitlines()]
        assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
        assert self.logged - {entry.get("request_id") for entry in entries} == set()
        created = {e["registry_id"] for e in entries if e["action"] == "registry.create"}
        assert {name for name, found in self.records.items() if found != {None}} <= created
        return len(entries)


class Load:
    """Threads that write, read and revoke at ``servers`` for as long as the block runs.

    ``pause``: the seconds between two calls of a thread. ``observe`` is told how many seconds each
    call took.
    """

    def __init__(
        self,
        servers: list[PullpassServer],
        *,
        workers: int = 4,
        pause: float = 0.0,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.book = Book()
        self.observe = observe
        self.stopping = threading.Event()
        self.going = threading.Event()
        self.going.set()
        self.pause = pause
        run = uuid.uuid4().hex[:6]
        self._workers = [
            _Worker(self, servers[number % len(servers)], f"{run}-{number}")
            for number in range(workers)
        ]

    def __enter__(self) -> Load:
        for worker in self._workers:
            worker.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.going.set()
        for worker in self._workers:
            worker.thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is under way until the block ends."""
        self.going.clear()
        for worker in self._workers:
            assert worker.idle.wait(2 * PATIENCE), "a call hangs"
        yield
        self.going.set()

    def wait_for(self, calls: int) -> None:
        """Returns once so many more calls were acknowledged."""
        self._wait(lambda: self.book.acknowledged, calls)

    def wait_for_refusals(self, calls: int) -> None:
        """Returns once so many more calls were answered with 503."""
        self._wait(lambda: self.book.refused, calls)

    def _wait(self, count: Callable[[], int], more: int) -> None:
        goal = count() + more
        deadline = time.monotonic() + 2 * PATIENCE
        while count() < goal:
            assert time.monotonic() < deadline, f"{self.book.told()}; {self.book.wrong}"
            time.sleep(_PAUSE_SECONDS)


class _Worker:
    """Has records and tokens of its own, so that it knows what the next answer must be."""

    def __init__(self, load: Load, server: PullpassServer, name: str) -> None:
        self.name = name
        self.thread = threading.Thread(target=self._run)
        self.idle = threading.Event()
        self._load = load
        self._book = load.book
        self._server = server
        self._dice = random.Random(name)
        self._records: list[str] = []
        self._token: tuple[str, str] | None = None
        self._user = ""
        self._count = 0

    def _run(self) -> None:
        try:
            with ApiClient(self._server, seconds=PATIENCE) as client:
                while not self._load.stopping.is_set():
                    if not self._load.going.is_set():
                        self._rest()
                    self._step(client)
                    self._load.stopping.wait(self._load.pause)
        except Exception as error:
            self._book.wrong.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            self.idle.set()

    def _rest(self) -> None:
        self.idle.set()
        self._load.going.wait()
        self.idle.clear()
        # What was open of them may be known by now.
        mine = f"r-{self.name}-"
        self._records = [name for name in list(self._book.records) if name.startswith(mine)]

    def _step(self, client: ApiClient) -> None:
        if not self._records:
            return self._create(client)
        kind = self._dice.random()
        if kind < 0.15 and len(self._records) < _RECORDS_OF_A_WORKER:
            self._create(client)
        elif kind < 0.4:
            self._rotate(client)
        elif kind < 0.5 and len(self._records) > _RECORDS_OF_A_WORKER // 2:
            self._delete(client)
        elif kind < 0.6:
            self._create_or_revoke_token(client)
        else:
            self._read(client)
        return None

    def _create(self, client: ApiClient) -> None:
        name, password = f"r-{self.name}-{self._next()}", uuid.uuid4().hex
        body = {
            "id": name,
            "registry": f"{name}.io",
            "type": "basic",
            "creds": {"username": "bot", "password": password},
        }
        possible: set[str | None] = {None, password}
        self._book.records[name] = possible
        outcome = self._call(client, "POST", "registries", json=body)
        if outcome is None:
            del self._book.records[name]
        elif outcome.status_code == 201:
            possible.discard(None)
            self._records.append(name)

    def _rotate(self, client: ApiClient) -> None:
        name, password = self._dice.choice(self._records), uuid.uuid4().hex
        possible = self._book.records[name]
        before = set(possible)
        possible.add(password)
        body = {"creds": {"username": "bot", "password": password}}
        outcome = self._call(client, "PATCH", f"registries/{name}", json=body)
        if outcome is None:
            possible.discard(password)
        elif outcome.status_code == 200:
            possible -= before

    def _delete(self, client: ApiClient) -> None:
        name = self._dice.choice(self._records)
        possible = self._book.records[name]
        before = set(possible)
        possible.add(None)
        outcome = self._call(client, "DELETE", f"registries/{name}")
        if outcome is None:
            possible.discard(None)
            return
        self._records.remove(name)
        if outcome.status_code == 204:
            possible -= before

    def _create_or_revoke_token(self, client: ApiClient) -> None:
        if self._token is None:
            self._create_token(client)
            return
        name, token = self._token
        self._book.tokens[token].add(False)
        outcome = self._call(client, "DELETE", f"/users/{self._user}/tokens/{name}")
        if outcome is None:
            self._book.tokens[token].discard(False)
            return
        self._token = None
        if outcome.status_code == 204:
            self._book.tokens[token].discard(True)

    def _create_token(self, client: ApiClient) -> None:
        if not self._user:
            made = self._call(client, "POST", "users", json={"name": self.name, "role": "puller"})
            if made is not None and made.status_code == 201:
                self._user = made.json()["id"]
            return
        name = f"t-{self._next()}"
        body = {"id": name, "type": "static"}
        made = self._call(client, "POST", f"/users/{self._user}/tokens", json=body)
        if made is not None and made.status_code == 201:
            self._token = (name, made.json()["token"])
            self._book.tokens[self._token[1]] = {True}

    def _read(self, client: ApiClient) -> None:
        name = self._dice.choice(self._records)
        answer = self._call(client, "GET", f"registries/{name}/creds")
        if answer is not None and answer.status_code == 200:
            password = answer.json()["password"]
            if password not in self._book.records[name]:
                self._book.wrong.append(f"{name} was answered with {password!r}")

    def _call(
        self, client: ApiClient, method: str, path: str, **options: Any
    ) -> httpx.Response | None:
        """The answer; None where the call did not reach the server. Whatever happened to it where
        the answer did not come is open: status 0.
        """
        request_id = uuid.uuid4().hex
        began = time.perf_counter()
        try:
            answer = client.call(method, path, headers={"X-Request-Id": request_id}, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self._book.outcomes["not reached"] += 1
            self._load.stopping.wait(2 * _PAUSE_SECONDS)
            return None
        except httpx.TimeoutException:
            self._book.wrong.append(f"{method} {path} got no answer in {PATIENCE} s")
            return httpx.Response(0)
        except httpx.TransportError:
            self._book.outcomes["no answer"] += 1
            return httpx.Response(0)
        self._load.observe(time.perf_counter() - began)
        if answer.is_success:
            self._book.logged.add(request_id)
            self._book.outcomes[f"{answer.status_code}"] += 1
        else:
            code = answer.json()["code"]
            self._book.outcomes[f"{answer.status_code} {code}"] += 1
            if answer.status_code != 503:
                self._book.wrong.append(f"{method} {path}: {answer.status_code} {answer.text}")
            self._load.stopping.wait(_PAUSE_SECONDS)
        return answer

    def _next(self) -> int:
        self._count += 1
        return self._count
