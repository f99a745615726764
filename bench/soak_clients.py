"""The clients of the soak besides those that write: each asks again and again, in a thread."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests.parts.api_client import ApiClient
from tests.parts.aws import Aws
from tests.parts.load import PATIENCE, Book
from tests.parts.server import PullpassServer

# What may be answered while a fault lasts: the database is away, the upstream is.
_REFUSALS = (502, 503)
_AFTER_A_FAILURE_SECONDS = 0.2


class Clients:
    """``outcomes``: how many calls went how. What must not be goes into the book of the load."""

    def __init__(
        self,
        server: PullpassServer,
        aws: Aws,
        records: list[str],
        book: Book,
        observe: Callable[[float], None],
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._server = server
        self._aws = aws
        self._records = records
        self._book = book
        self._observe = observe
        self._stopping = threading.Event()
        parts = (
            *(self._match, self._read_exchanged, self._read_exchanged, self._poll),
            *(self._browse, self._follow_events),
        )
        self._threads = [threading.Thread(target=self._repeat, args=(part,)) for part in parts]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, part: Callable[[ApiClient], None]) -> None:
        with ApiClient(self._server, seconds=PATIENCE) as client:
            while not self._stopping.is_set():
                try:
                    part(client)
                except httpx.TimeoutException as error:
                    self._book.wrong.append(f"{part.__name__}: no answer in {PATIENCE} s: {error}")
                except httpx.TransportError:
                    self.outcomes["no answer"] += 1
                    self._stopping.wait(_AFTER_A_FAILURE_SECONDS)
                except Exception as error:
                    self._book.wrong.append(f"{part.__name__}: {type(error).__name__}: {error}")
                    raise

    def _call(self, client: ApiClient, method: str, path: str, **options: object) -> httpx.Response:
        began = time.perf_counter()
        answer = client.call(method, path, **options)
        if "wait" not in path:
            self._observe(time.perf_counter() - began)
        self.outcomes[str(answer.status_code)] += 1
        if answer.status_code in _REFUSALS:
            self._stopping.wait(_AFTER_A_FAILURE_SECONDS)
        elif answer.status_code >= 400:
            self._book.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _match(self, client: ApiClient) -> None:
        images = [f"host-{number}.io/app:{number}" for number in range(200)]
        self._call(client, "POST", "registries/actions/match", json={"images": images})
        self._stopping.wait(0.1)

    def _read_exchanged(self, client: ApiClient) -> None:
        """A short-lived credential, which must be good at the upstream."""
        request_id = uuid.uuid4().hex
        path = f"registries/{random.choice(self._records)}/creds"
        answer = self._call(client, "GET", path, headers={"X-Request-Id": request_id})
        if answer.status_code == 200:
            self._book.logged.add(request_id)
            if not self._aws.accepts(answer.json()["password"]):
                self._book.wrong.append(f"{path}: a credential that is over was handed out")
        self._stopping.wait(0.05)

    def _poll(self, client: ApiClient) -> None:
        """Waits for changes, as the agents of clusters do."""
        found = self._call(client, "GET", "changes")
        if found.status_code == 200:
            since = found.json()["revision"]
            self._call(client, "GET", f"changes?since={since}&wait=5")

    def _browse(self, client: ApiClient) -> None:
        with self._signed_in() as http:
            for _ in range(20):
                began = time.perf_counter()
                answer = http.get("/ui/orgs/acme/registries")
                self._observe(time.perf_counter() - began)
                self.outcomes[f"page {answer.status_code}"] += 1
                if self._stopping.wait(0.5):
                    return

    def _follow_events(self, _: ApiClient) -> None:
        """A page that stays open; the browser comes back when the stream ends."""
        with self._signed_in() as http, http.stream("GET", "/ui/orgs/acme/events") as page:
            self.outcomes[f"events {page.status_code}"] += 1
            for _line in page.iter_lines():
                if self._stopping.is_set():
                    return
        self._stopping.wait(0.5)

    @contextmanager
    def _signed_in(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self._server.url, timeout=PATIENCE) as http:
            http.post("/ui/sign-in", data={"token": self._server.admin_token, "next": "/ui/"})
            yield http
