"""Token services that are slow, wrong and gone, each in its own way and all at once: a clear error
in bounded time, no hammering, and nobody else waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import LOOPBACK, Say
from tests.parts.api_client import ApiClient, eventually
from tests.parts.aws import Aws, ecr_record
from tests.parts.google import GoogleServer, service_account_key
from tests.parts.load import Load
from tests.parts.server import PullpassServer, pullpass_server
from tests.parts.stand_in import GARBAGE, HUGE, StandIn, failing, redirect, throttled
from tests.parts.wire import Scripted, answer

FAULTS = {
    "a page": GARBAGE,
    "no body": Scripted(body=b""),
    "another document": answer([{"token": None}]),
    "bytes": Scripted(body=bytes(range(256)), headers={"Content-Type": "image/png"}),
    "half an answer": Scripted(body=b'{"access_token": "ya', declared=4096),
    "a huge answer": HUGE,
    "an answer in drops": Scripted(body=b" " * 10_000, drip=True),
    "silence": Scripted(hang=True),
    "a reset": Scripted(reset=True),
    "a redirect": redirect("http://169.254.169.254/latest/meta-data/"),
    "an error": failing(500),
    "too many requests": throttled(1),
}
AT_ONCE = 4
AFTERWARDS = 20
# Waits double, so that few attempts fit into the time of this test; each may take two calls, where
# the clock is thought to be wrong.
MOST_CALLS = 12


@dataclass(frozen=True, slots=True)
class Broken:
    """A record, what is wrong with its upstream, and the upstream."""

    record: dict[str, object]
    fault: str
    upstream: StandIn

    @property
    def path(self) -> str:
        return f"registries/{self.record['id']}/creds"


@pytest.fixture
def broken(moto: str) -> Iterator[list[Broken]]:
    with ExitStack() as stack:
        found = []
        for number, (name, fault) in enumerate(FAULTS.items(), 1):
            aws = stack.enter_context(Aws(moto))
            account = f"{number:012}.dkr.ecr.eu-west-1.amazonaws.com"
            found.append(Broken(ecr_record(aws, f"ecr-{number}", account, number), name, aws))
            google = stack.enter_context(GoogleServer())
            found.append(Broken(google_record(google, number), name, google))
            for stand_in in (aws, google):
                stand_in.fault = fault
        yield found


def google_record(google: GoogleServer, number: int) -> dict[str, object]:
    key = service_account_key(google.token_uri)
    return {
        "id": f"gar-{number}",
        "registry": f"europe-docker.pkg.dev/acme-{number}",
        "type": "google_gcr",
        "creds": {"username": "_json_key", "password": key},
    }


def test_broken_upstreams_are_told_and_left_alone(
    broken: list[Broken], tmp_path: Path, say: Say
) -> None:
    with pullpass_server(tmp_path / "data", env=LOOPBACK) as server, ApiClient(server) as client:
        for each in broken:
            made = client.call("POST", "registries", json=each.record)
            assert made.status_code == 201, made.text
        # Others have credentials, and are not held up by those who wait.
        with Load([server], workers=2, pause=0.02) as load:
            with ThreadPoolExecutor(AT_ONCE * len(broken)) as pool:
                first = [pool.submit(ask, server, each) for each in broken for _ in range(AT_ONCE)]
                load.wait_for(20)
                codes = {done.result() for done in first}
            for each in broken:
                for _ in range(AFTERWARDS):
                    codes.add(ask(server, each, client))
        assert set(load.book.outcomes) <= {"200", "201", "204"}, load.book.told()
        calls = {f"{each.fault}, {each.record['id']}": len(each.upstream.calls) for each in broken}
        assert {name: n for name, n in calls.items() if not 1 <= n <= MOST_CALLS} == {}
        for each in broken:
            each.upstream.fault = None
        for each in broken:
            eventually(lambda each=each: status(client, each), 200, seconds=120)  # type: ignore[misc]
    asked = len(broken) * (AT_ONCE + AFTERWARDS)
    say(
        f"{len(broken)} upstreams ({', '.join(FAULTS)}): {asked} requests were answered with "
        f"{', '.join(sorted(codes))}, {sum(calls.values())} reached the upstreams; meanwhile, "
        f"{load.book.acknowledged} calls for other records and no failure; all healed by themselves"
    )


def test_an_upstream_that_goes_while_it_is_asked(aws: Aws, tmp_path: Path, say: Say) -> None:
    with pullpass_server(tmp_path / "data", env=LOOPBACK) as server, ApiClient(server) as client:
        assert client.call("POST", "registries", json=ecr_record(aws)).status_code == 201
        gone = Broken(ecr_record(aws), "gone", aws)
        with aws.held():
            asking = threading.Thread(target=ask, args=(server, gone))
            asking.start()
            eventually(lambda: len(aws.calls), 1)
            aws.stop()
        asking.join()
        assert ask(server, gone, client) == "upstream_unavailable"
        aws.start()
        eventually(lambda: status(client, gone), 200, seconds=60)
    say("gone amid an answer: 502 upstream_unavailable, and back by itself")


def status(client: ApiClient, broken: Broken) -> int:
    return client.call("GET", broken.path).status_code


def ask(server: PullpassServer, broken: Broken, client: ApiClient | None = None) -> str:
    """The code of the refusal; no secret is in it."""
    if client is None:
        with ApiClient(server, seconds=60) as own:
            return ask(server, broken, own)
    refused: httpx.Response = client.call("GET", broken.path)
    assert refused.status_code == 502, (broken.fault, refused.text)
    creds = broken.record["creds"]
    assert isinstance(creds, dict)
    assert creds["password"] not in refused.text
    code: str = refused.json()["code"]
    return code
