"""Short-lived credentials in a cluster, and clocks that are set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullpass.client.sync import Client
from tests.agent.conftest import Place, auths_of, eventually
from tests.parts.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Aws
from tests.parts.clock import FakeClock
from tests.parts.server import pullpass_server

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
THIRTEEN_HOURS = 13 * 3600


@pytest.fixture
def elsewhen(place: Place, tmp_path: Path) -> Iterator[tuple[Place, FakeClock]]:
    """The place with a Pullpass and agents that go by another clock."""
    clock = FakeClock(tmp_path)
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8", **clock.env}
    with (
        pullpass_server(tmp_path / "data", env=env) as pullpass,
        Client(pullpass.url, pullpass.organization, pullpass.admin_token) as client,
    ):
        found = dataclasses.replace(place, pullpass=pullpass, client=client, env=clock.env)
        with found.stack:
            yield found, clock


def test_a_clock_that_is_past_the_expiry_brings_a_new_credential_once(
    elsewhen: tuple[Place, FakeClock], aws: Aws
) -> None:
    place, clock = elsewhen
    place.client.registries.create(
        {
            "id": "ecr",
            "registry": ECR,
            "type": "amazon_ecr",
            "creds": {"username": ACCESS_KEY_ID, "password": SECRET_ACCESS_KEY},
            "options": {"endpoint": aws.url},
        }
    )
    names = place.namespaces(10)
    agent = place.agent("--mode", "all")

    def accepted() -> int:
        """In how many namespaces is what the registry lets in now."""
        found = [auths_of(secret)[ECR] for secret in place.secrets().values()]
        return sum(aws.accepts(text.partition(":")[2]) for text in found)

    eventually(lambda: accepted() == len(names), why=agent.output)
    eventually(lambda: place.applied(agent) == len(names), why=agent.output)
    assert aws.count("ecr:GetAuthorizationToken") == 1

    # The cloud's clock first, or it would refuse a signature of its future.
    aws.skew = THIRTEEN_HOURS
    assert accepted() == 0
    clock.set(THIRTEEN_HOURS)
    eventually(lambda: accepted() == len(names), why=agent.output)
    eventually(lambda: place.applied(agent) == 2 * len(names), why=agent.output)
    assert aws.count("ecr:GetAuthorizationToken") == 2
    for found in place.secrets().values():
        expires = datetime.fromisoformat(found["metadata"]["annotations"]["pullpass.dev/expires"])
        assert expires > datetime.now(UTC) + timedelta(hours=24)
