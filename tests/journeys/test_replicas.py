"""Two servers on one PostgreSQL: what one acknowledges, the other knows, without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.api_client import ApiClient, eventually
from tests.parts.postgres import PostgresCluster
from tests.parts.server import Replicas, pullpass_server, two_replicas


@pytest.fixture
def replicas(cluster: PostgresCluster, tmp_path: Path) -> Iterator[Replicas]:
    with two_replicas(tmp_path, cluster.url(cluster.create_database())) as running:
        yield running


def test_a_change_on_one_replica_is_on_the_other(replicas: Replicas) -> None:
    with ApiClient(replicas[0]) as one, ApiClient(replicas[1]) as two:
        for client in (one, two):
            assert client.password_for("ghcr.io/acme/app") is None
        assert one.create("ghcr", "ghcr.io/acme", "first").status_code == 201
        # Reads of records are never behind: Terraform creates on one and reads on another.
        assert two.call("GET", "registries/ghcr").status_code == 200
        assert two.call("GET", "registries/ghcr/creds").json()["password"] == "first"
        eventually(lambda: two.password_for("ghcr.io/acme/app"), "first")

        creds = {"username": "bot", "password": "second"}
        changed = two.call("PATCH", "registries/ghcr", json={"creds": creds})
        assert changed.status_code == 200
        assert two.password_for("ghcr.io/acme/app") == "second"
        eventually(lambda: one.password_for("ghcr.io/acme/app"), "second")

        assert one.create("twin", "ghcr.io/acme").status_code == 409
        assert one.call("DELETE", "registries/ghcr").status_code == 204
        assert two.call("GET", "registries/ghcr").status_code == 404
        eventually(lambda: two.password_for("ghcr.io/acme/app"), None)


def test_a_revoked_token_stops_on_every_replica(replicas: Replicas) -> None:
    with ApiClient(replicas[0]) as one:
        body = {"name": "bot", "role": "puller"}
        user = one.call("POST", "users", json=body).json()["id"]
        token = one.call(
            "POST", f"/users/{user}/tokens", json={"id": "first", "type": "static"}
        ).json()["token"]
        with ApiClient(replicas[1], token) as bot:
            assert bot.call("GET", "registries").status_code == 200
            one.call("PATCH", f"users/{user}", json={"role": "editor"})
            eventually(lambda: bot.call("POST", "registries", json={}).status_code, 400)
            assert one.call("DELETE", f"/users/{user}/tokens/first").status_code == 204
            eventually(lambda: bot.call("GET", "registries").status_code, 401)


def test_a_prefix_passes_from_one_record_to_another(replicas: Replicas) -> None:
    with ApiClient(replicas[0]) as one, ApiClient(replicas[1]) as two:
        one.create("first", "a.example.com", "first")
        eventually(lambda: two.password_for("a.example.com/x"), "first")
        one.call("PATCH", "registries/first", json={"registry": "b.example.com"})
        assert one.create("second", "a.example.com", "second").status_code == 201
        eventually(lambda: two.password_for("a.example.com/x"), "second")
        eventually(lambda: two.password_for("b.example.com/x"), "first")


def test_replicas_with_different_master_keys_do_not_mix(replicas: Replicas, tmp_path: Path) -> None:
    env = {**replicas[0].env, "PULLPASS_MASTER_KEY_FILE": str(tmp_path / "other.key")}
    with (
        pytest.raises(Exception, match="master key"),
        pullpass_server(tmp_path / "three", env=env, admin_token="unused"),
    ):
        pass
    assert not (tmp_path / "other.key").exists()
