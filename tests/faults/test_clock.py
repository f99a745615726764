"""The clock of a server jumps, forward and back."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from tests.faults.conftest import LOOPBACK, Say
from tests.parts.api_client import ApiClient, eventually
from tests.parts.aws import Aws, ecr_record
from tests.parts.clock import FakeClock
from tests.parts.load import Load
from tests.parts.server import PullpassServer, pullpass_server

HOUR = 3600


def expiring_token(client: ApiClient, seconds: int, ahead: int = 0) -> str:
    """A token that ends ``seconds`` from now, by a clock that is so many seconds ahead."""
    user = client.call("GET", "/current-user").json()["id"]
    end = datetime.now(UTC) + timedelta(seconds=seconds + ahead)
    body = {
        "id": f"ends-{time.monotonic_ns()}",
        "type": "static",
        "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    made = client.call("POST", f"/users/{user}/tokens", json=body)
    assert made.status_code in (200, 201), made.text
    token: str = made.json()["token"]
    return token


def created_ahead(client: ApiClient) -> int:
    """By how many hours the server's clock is ahead, as a new record says."""
    name = f"r{time.monotonic_ns()}"
    made = client.create(name, f"{name}.io")
    assert made.status_code == 201, made.text
    created = datetime.fromisoformat(made.json()["created_at"])
    return round((created - datetime.now(UTC)).total_seconds() / HOUR)


def status_with(server: PullpassServer, token: str) -> int:
    with ApiClient(server, token) as client:
        return client.call("GET", "/current-user").status_code


def test_an_hour_forward_and_an_hour_back(tmp_path: Path, aws: Aws, say: Say) -> None:
    clock = FakeClock(tmp_path)
    aws.lifetime = 0.5 * HOUR
    with (
        pullpass_server(tmp_path / "data", env={**LOOPBACK, **clock.env}) as server,
        ApiClient(server) as client,
        Load([server], workers=2, pause=0.02) as load,
    ):
        made = client.call("POST", "registries", json=ecr_record(aws))
        assert made.status_code == 201, made.text

        def password() -> str:
            answer = client.call("GET", "registries/ecr/creds")
            assert answer.status_code == 200, answer.text
            found: str = answer.json()["password"]
            assert aws.accepts(found), "it is over where it was issued"
            return found

        first = password()
        short, long = expiring_token(client, HOUR // 2), expiring_token(client, 2 * HOUR)
        assert [status_with(server, token) for token in (short, long)] == [200, 200]

        clock.set(HOUR)
        eventually(lambda: created_ahead(client), 1)
        assert status_with(server, short) == 401
        assert status_with(server, long) == 200
        # By this clock the first is over; the next is taken by an upstream of another time.
        second = password()
        assert second != first
        assert password() == second
        load.wait_for(20)
        shorter = expiring_token(client, HOUR // 4, ahead=HOUR)
        assert status_with(server, shorter) == 200

        clock.set(0)
        eventually(lambda: created_ahead(client), 0)
        assert status_with(server, short) == 200
        # By this clock the second lives on for an hour after its true end, so it is not kept.
        third = password()
        assert third != second
        assert password() == third
        load.wait_for(20)

        clock.set(-HOUR)
        eventually(lambda: created_ahead(client), -1)
        load.wait_for(20)
        password()
        server.restart()
        load.wait_for(20)
        fourth = password()
        assert password() == fourth
        assert set(load.book.outcomes) <= {"200", "201", "204", "no answer", "not reached"}
    server.start()
    with ApiClient(server) as client:
        load.book.check(client)
    entries = load.book.check_log(server)
    verified = server.local("audit", "verify")
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout
    server.stop()
    say(
        f"the clock went an hour forward, back and another hour back under load: "
        f"{load.book.told()}; {len(aws.issued)} credentials were issued, none was handed out "
        f"beyond its end; all {load.book.acknowledged} acknowledged calls are among the {entries} "
        "entries of the audit log, which is whole"
    )


def test_a_server_that_dies_before_its_clock_is_set_back_holds_nobody_up(
    tmp_path: Path, aws: Aws, say: Say
) -> None:
    clock = FakeClock(tmp_path)
    clock.set(HOUR)
    with (
        pullpass_server(tmp_path / "data", env={**LOOPBACK, **clock.env}) as server,
        ApiClient(server) as client,
    ):
        assert client.call("POST", "registries", json=ecr_record(aws)).status_code == 201
        with aws.held(), Load([server], workers=1) as load:
            asking = threading.Thread(target=ask_in_vain, args=(server,))
            asking.start()
            eventually(lambda: len(aws.calls), 1)
            server.kill()
            asking.join()
            clock.set(0)
            server.start()
            load.wait_for(5)
        assert client.call("GET", "registries/ecr/creds").status_code == 200
    say("a lease from the future, left by a server that was killed, is in nobody's way")


def ask_in_vain(server: PullpassServer) -> None:
    with ApiClient(server) as client, suppress(httpx.TransportError):
        client.call("GET", "registries/ecr/creds")
