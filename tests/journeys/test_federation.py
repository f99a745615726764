"""A job without a stored token, on two replicas: it gets one, and loses it when the rule goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.api_client import ApiClient, eventually
from tests.parts.oidc import IssuerServer
from tests.parts.postgres import PostgresCluster
from tests.parts.server import PullpassServer, Replicas, two_replicas

RULE = {"id": "github", "claims": {"repository": "acme/app"}, "role": "puller"}


@pytest.fixture
def replicas(cluster: PostgresCluster, tmp_path: Path) -> Iterator[Replicas]:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with two_replicas(tmp_path, cluster.url(cluster.create_database()), env) as running:
        yield running


def exchange(server: PullpassServer, token: str) -> str | None:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "audience": server.organization,
    }
    answer = httpx.post(f"{server.url}/token", data=form, timeout=30)
    if answer.status_code == 200:
        return str(answer.json()["access_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    return None


def test_a_rule_holds_and_ends_on_every_replica(replicas: Replicas) -> None:
    one, two = replicas
    with IssuerServer() as issuer, ApiClient(one) as admin:
        assert exchange(two, issuer.token()) is None
        made = admin.call("POST", "trust-rules", json={**RULE, "issuer": issuer.name})
        assert made.status_code == 201
        # Rules are never behind: the next job may ask another replica.
        token = exchange(two, issuer.token())
        assert token is not None
        for server in (one, two):
            with ApiClient(server, token) as job:
                assert job.call("GET", "registries").status_code == 200
        with ApiClient(two, token) as job:
            admin.call("PATCH", "trust-rules/github", json={"claims": {"repository": "acme/x"}})
            eventually(lambda: job.call("GET", "registries").status_code, 401)
        assert exchange(two, issuer.token()) is None
        other = exchange(two, issuer.token(repository="acme/x"))
        assert other is not None
        with ApiClient(two, other) as job:
            assert job.call("GET", "registries").status_code == 200
            assert admin.call("DELETE", "trust-rules/github").status_code == 204
            eventually(lambda: job.call("GET", "registries").status_code, 401)
        assert exchange(two, issuer.token(repository="acme/x")) is None
