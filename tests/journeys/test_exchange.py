"""Short-lived credentials end to end: real processes, real clients, stand-ins at the wire."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.api_client import ApiClient, eventually
from tests.parts.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Aws, AwsKey, moto_server
from tests.parts.google import GoogleServer, service_account_key
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, installed, pullpass_server

REGION = "dkr.ecr.eu-west-1.amazonaws.com"
ECR = f"123456789012.{REGION}"
LOOPBACK = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8", "PULLPASS_MIN_CREDENTIAL_SECONDS": "2"}
RECORDS = 10


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def aws(moto: str) -> Iterator[Aws]:
    with Aws(moto) as stand_in:
        yield stand_in


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path / "data", env=LOOPBACK) as running:
        yield running


def create_ecr(
    client: ApiClient, aws: Aws, record_id: str = "ecr", registry: str = ECR, number: int = 0
) -> None:
    """A record with an access key of its own."""
    key_id = ACCESS_KEY_ID if number == 0 else f"AKIAIOSFODNN{number:08}"
    secret = SECRET_ACCESS_KEY if number == 0 else f"{SECRET_ACCESS_KEY[:-3]}{number:03}"
    aws.keys[key_id] = AwsKey(secret)
    made = client.call(
        "POST",
        "registries",
        json={
            "id": record_id,
            "registry": registry,
            "type": "amazon_ecr",
            "creds": {"username": key_id, "password": secret},
            "options": {"endpoint": aws.url},
        },
    )
    assert made.status_code == 201, made.text


def test_ecr_by_the_command_line_and_by_the_credential_helper(
    server: PullpassServer, aws: Aws
) -> None:
    with ApiClient(server) as client:
        create_ecr(client, aws)
    printed = server.cli("creds", f"{ECR}/acme/app:1", "--output", "json")
    assert printed.returncode == 0, printed.stderr
    creds = json.loads(printed.stdout)
    assert creds["username"] == "AWS"
    assert aws.accepts(creds["password"])
    helper = subprocess.run(
        [installed("docker-credential-pullpass"), "get"],
        input=ECR,
        env=server.client_env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(helper.stdout) == {
        "ServerURL": ECR,
        "Username": "AWS",
        "Secret": creds["password"],
    }
    assert aws.count("ecr:GetAuthorizationToken") == 1
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'pullpass_exchanges_total{code="issued",type="amazon_ecr"} 1.0' in metrics
    assert 'pullpass_issued_served_total{type="amazon_ecr"} 1.0' in metrics
    expiry = 'pullpass_issued_expiry_timestamp_seconds{organization="acme",registry_id="ecr"}'
    assert expiry in metrics
    for secret in (SECRET_ACCESS_KEY, creds["password"]):
        assert secret not in server.log_text() + metrics


def test_google_by_the_command_line_and_by_the_credential_helper(
    server: PullpassServer, tmp_path: Path
) -> None:
    with GoogleServer() as google:
        key = service_account_key(google.token_uri)
        created = server.cli(
            *("registry", "create", "gar", "--registry", "europe-docker.pkg.dev/acme"),
            *("--type", "google_gcr", "--username", "_json_key", "--password-stdin"),
            stdin=key,
        )
        assert created.returncode == 0, created.stderr
        printed = server.cli("creds", "europe-docker.pkg.dev/acme/app", "--output", "json")
        assert printed.returncode == 0, printed.stderr
        creds = json.loads(printed.stdout)
        assert creds["username"] == "oauth2accesstoken"
        assert google.accepts(creds["username"], creds["password"])
        helper = subprocess.run(
            [installed("docker-credential-pullpass"), "get"],
            input="https://europe-docker.pkg.dev",
            env=server.client_env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(helper.stdout)["Secret"] == creds["password"]
        assert len(google.calls) == 1
    private = json.loads(key)["private_key"].splitlines()[1]
    assert private not in server.log_text() + created.stdout


@pytest.fixture
def replicas(cluster: PostgresCluster, tmp_path: Path) -> Iterator[list[PullpassServer]]:
    env = {
        **LOOPBACK,
        "PULLPASS_DATABASE": cluster.url(cluster.create_database()),
        "PULLPASS_MASTER_KEY_FILE": str(tmp_path / "master.key"),
        "PULLPASS_LOG_LEVEL": "warning",
    }
    with pullpass_server(tmp_path / "one", env=env) as one:
        token = one.admin_token
        with (
            pullpass_server(tmp_path / "two", env=env, admin_token=token) as two,
            pullpass_server(tmp_path / "three", env=env, admin_token=token) as three,
        ):
            yield [one, two, three]


async def ask_all(replicas: list[PullpassServer], requests: int) -> Counter[tuple[str, str]]:
    """So many requests at once, over all replicas and records: what came back, by record.

    A connection each, by hand: the pools of HTTP clients take longer than the servers do.
    """

    async def ask(number: int) -> tuple[str, str]:
        server, record_id = replicas[number % len(replicas)], f"ecr-{number % RECORDS}"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"GET /orgs/acme/registries/{record_id}/creds HTTP/1.1\r\nHost: pullpass\r\n"
            f"Authorization: Bearer {server.admin_token}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer
        return record_id, json.loads(body)["password"]

    return Counter(await asyncio.gather(*(ask(number) for number in range(requests))))


def test_many_requests_on_three_replicas_are_one_upstream_call_a_record(
    replicas: list[PullpassServer], aws: Aws
) -> None:
    action = "ecr:GetAuthorizationToken"
    aws.lifetime = 45
    with ApiClient(replicas[0]) as client:
        for number in range(RECORDS):
            registry = f"{number + 100000000000}.{REGION}"
            create_ecr(client, aws, f"ecr-{number}", registry, number + 1)
    aws.delay = 0.3
    first = asyncio.run(ask_all(replicas, 2000))
    assert aws.count(action) == RECORDS
    assert len(first) == RECORDS, "one credential for each record"

    # At 56 to 66 % of the lifetime every record is due, and its renewal is asked for once. While
    # the upstream holds the answers back, everybody is answered from the old credential.
    with aws.held():
        eventually(lambda: aws.count(action), 2 * RECORDS, seconds=60)
        second = asyncio.run(ask_all(replicas, 2000))
        assert second.keys() == first.keys(), "nobody waited for a renewal"
        assert aws.count(action) == 2 * RECORDS
        assert len(aws.issued) == RECORDS, "the upstream has not answered yet"

    eventually(lambda: len(aws.issued), 2 * RECORDS)
    aws.delay = 0
    eventually(lambda: asyncio.run(ask_all(replicas, 30)).keys().isdisjoint(first.keys()), True)
    assert aws.count(action) == 2 * RECORDS


def test_an_outage_is_bridged_until_the_credential_ends_and_heals_by_itself(
    server: PullpassServer, aws: Aws
) -> None:
    aws.lifetime = 8
    with ApiClient(server) as client:
        create_ecr(client, aws)

        def creds() -> httpx.Response:
            return client.call("GET", "registries/ecr/creds")

        good = creds().json()["password"]
        aws.stop()
        asked: dict[str, float] = {}
        began = time.time()
        while (answer := creds()).status_code == 200:
            asked[answer.json()["password"]] = began
            time.sleep(0.05)
            began = time.time()
        assert asked.keys() == {good}
        # Served until its end, and not beyond: to the second, in which HTTP tells the time.
        assert asked[good] - 1 <= aws.issued[good] <= time.time() + 1
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unavailable")
        calls = len(aws.calls)
        for _ in range(20):
            assert creds().status_code == 502
        assert len(aws.calls) == calls
        aws.lifetime = 600
        aws.start()
        eventually(lambda: creds().status_code, 200, seconds=90)
        assert creds().json()["password"] != good


def test_a_changed_record_drops_what_was_issued_on_every_replica(
    replicas: list[PullpassServer], aws: Aws
) -> None:
    with ApiClient(replicas[0]) as one, ApiClient(replicas[1]) as two:
        create_ecr(one, aws)
        old = one.call("GET", "registries/ecr/creds").json()["password"]
        assert two.call("GET", "registries/ecr/creds").json()["password"] == old
        changed = one.call("PATCH", "registries/ecr", json={"enable_ci": True})
        assert changed.status_code == 200
        new = one.call("GET", "registries/ecr/creds").json()["password"]
        assert new != old
        eventually(lambda: two.call("GET", "registries/ecr/creds").json()["password"], new)
        assert aws.count("ecr:GetAuthorizationToken") == 2


def test_a_wrong_key_is_a_clear_502_and_is_not_hammered(server: PullpassServer, aws: Aws) -> None:
    with ApiClient(server) as client:
        create_ecr(client, aws)
        wrong = {"username": ACCESS_KEY_ID, "password": SECRET_ACCESS_KEY[::-1]}
        client.call("PATCH", "registries/ecr", json={"creds": wrong})
        for _ in range(20):
            answer = client.call("GET", "registries/ecr/creds")
            assert (answer.status_code, answer.json()["code"]) == (502, "upstream_rejected")
            assert wrong["password"] not in answer.text
        assert len(aws.calls) == 1
        right = {"username": ACCESS_KEY_ID, "password": SECRET_ACCESS_KEY}
        client.call("PATCH", "registries/ecr", json={"creds": right})
        assert client.call("GET", "registries/ecr/creds").status_code == 200
