"""Short-lived credentials end to end: real processes, real clients, stand-ins at the wire."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.api_client import ApiClient, eventually
from tests.parts.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Aws, ecr_record
from tests.parts.google import GoogleServer, service_account_key
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, Replicas, installed, pullpass_server, two_replicas

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
LOOPBACK = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8", "PULLPASS_MIN_CREDENTIAL_SECONDS": "2"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path / "data", env=LOOPBACK) as running:
        yield running


def create_ecr(client: ApiClient, aws: Aws) -> None:
    made = client.call("POST", "registries", json=ecr_record(aws))
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
def replicas(cluster: PostgresCluster, tmp_path: Path) -> Iterator[Replicas]:
    with two_replicas(tmp_path, cluster.url(cluster.create_database()), LOOPBACK) as running:
        yield running


def test_a_changed_record_drops_what_was_issued_on_every_replica(
    replicas: Replicas, aws: Aws
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
