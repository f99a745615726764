"""Whatever is killed, restarted or away: in the end all is as it should be, and nothing is lost."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.agent.conftest import PASSWORD, Place, eventually
from tests.parts.server import PullpassServer

RIGHT = {"ghcr.io": f"robot:{PASSWORD}"}
ROTATED = {"ghcr.io": "robot:rotated"}


def passwords(place: Place) -> set[str]:
    """The data of all secrets of this test: one where a rotation has come to its end."""
    return {found["data"][".dockerconfigjson"] for found in place.secrets().values()}


@contextmanager
def away(pullpass: PullpassServer) -> Iterator[None]:
    """Pullpass answers nobody until the block ends."""
    pullpass.stop()
    try:
        yield
    finally:
        pullpass.start()


def test_pullpass_away_changes_nothing_and_is_caught_up_with(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    token = place.token()
    first = place.agent(token=token)
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=first.output)
    before = place.versions()
    with away(place.pullpass):
        # What is known is still given to those who come new.
        late = place.namespace("b")
        place.pod(late, "ghcr.io/app")
        for each in (namespace, late):
            eventually(lambda name=each: place.pull_secrets(name) == ["regcred-ghcr"])  # type: ignore[misc]
        first.kill()
        # One that knows nothing yet touches nothing, whatever it finds.
        second = place.replica(token=token)
        eventually(lambda: "does not serve the agent" in second.output())
        found = place.versions()
        assert found == before | {late: found[late]}
        for each in (namespace, late):
            assert place.pull_secrets(each) == ["regcred-ghcr"]
            assert place.auths(each, "ghcr") == RIGHT
    place.rotate("ghcr", "rotated")
    for each in (namespace, late):
        eventually(
            lambda name=each: place.auths(name, "ghcr") == ROTATED,  # type: ignore[misc]
            why=second.output,
        )
    eventually(lambda: place.applied(second) == 2, why=second.output)


def test_an_agent_that_starts_before_pullpass_waits_for_it(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    token = place.token()
    with away(place.pullpass):
        agent = place.replica(token=token)
        eventually(lambda: "does not serve the agent" in agent.output())
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_leader_killed_in_a_rotation_leaves_the_rest_to_the_next(
    place: Place, replicas: int
) -> None:
    place.basic("ghcr", "ghcr.io")
    names = place.namespaces(40)
    token = place.token()
    slow = ("--mode", "all", "--qps", "20", "--burst", "5")
    first = place.agent(*slow, token=token)
    waiting = [place.replica(*slow, token=token) for _ in range(1, replicas)]
    for each in waiting:
        eventually(lambda: each.page("/health/ready") == "waiting for the lease\n")  # noqa: B023
    eventually(lambda: len(place.secrets()) == len(names), why=first.output)
    (before,) = passwords(place)
    place.rotate("ghcr", "rotated")
    # By what it says itself: to look at all the secrets may take as long as the rotation.
    eventually(lambda: place.applied(first) > len(names), why=first.output)
    first.kill()
    stale = [
        name
        for name, found in place.secrets().items()
        if found["data"][".dockerconfigjson"] == before
    ]
    assert stale, "killed too late to show anything"
    second = waiting[0] if waiting else place.replica(*slow, token=token)
    eventually(
        lambda: before not in passwords(place) and len(passwords(place)) == 1, why=second.output
    )
    assert second.leads()
    assert set(place.secrets()) == set(names)
    # What the first one had done was not done again; its last request may have come in late.
    eventually(lambda: 0 < place.applied(second) <= len(stale), why=second.output)
    print(f"{len(names) - len(stale)} before it was killed, {place.applied(second)} after")


def test_a_leader_that_stops_hands_over(place: Place) -> None:
    token = place.token()
    first = place.agent("--lease-seconds", "600", token=token)
    second = place.replica("--lease-seconds", "600", token=token)
    eventually(lambda: second.page("/health/ready") == "waiting for the lease\n")
    assert first.stop() == 0
    # It looks every 100 seconds with such a lease, so a new one shows that it is free.
    second.kill()
    third = place.replica("--lease-seconds", "600", token=token)
    eventually(third.leads, why=third.output)


def test_a_restarted_api_server_is_listed_anew_after_gone(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    # It leads on: who has lost the lease knows nothing of the cluster, and lists it anyway.
    agent = place.agent("--lease-seconds", "600")
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
    # What happens while the agent looks away is more than a server that was restarted knows.
    os.kill(agent.process.pid, signal.SIGSTOP)
    try:
        late = place.namespace("b")
        place.pod(late, "ghcr.io/app")
        place.kube.kubectl("delete", "secret", "regcred-ghcr", "-n", namespace)
        place.kube.server.restart()
    finally:
        os.kill(agent.process.pid, signal.SIGCONT)
    for each in (namespace, late):
        eventually(
            lambda name=each: place.auths(name, "ghcr") == RIGHT,  # type: ignore[misc]
            why=agent.output,
        )
    # The stand-in has told everything, to a connection that nobody read from meanwhile.
    if place.kube.real:
        eventually(lambda: "listing again" in agent.output())


def test_an_api_server_that_restarts_in_a_rotation_gets_the_rest_afterwards(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    names = place.namespaces(40)
    agent = place.agent("--mode", "all", "--qps", "20", "--burst", "5")
    eventually(lambda: len(place.secrets()) == len(names), why=agent.output)
    (before,) = passwords(place)
    place.rotate("ghcr", "rotated")
    eventually(lambda: passwords(place) != {before}, why=agent.output)
    place.kube.server.restart()
    eventually(
        lambda: before not in passwords(place) and len(passwords(place)) == 1, why=agent.output
    )
    assert set(place.secrets()) == set(names)


def test_a_token_that_was_replaced_is_read_again(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    user = place.client.users.create("agent", "cluster", cluster="prod")
    old = place.client.tokens.create(user.id, "old").token.reveal()
    agent = place.agent(token=old)
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
    place.client.tokens.delete(user.id, "old")
    place.rotate("ghcr", "rotated")
    eventually(lambda: "does not serve the agent" in agent.output())
    agent.token_file.write_text(place.client.tokens.create(user.id, "new").token.reveal())
    eventually(lambda: place.auths(namespace, "ghcr") == ROTATED, why=agent.output)


def test_no_secret_is_in_the_log_or_the_metrics(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent("--log-level", "debug")
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
    with away(place.pullpass):
        eventually(lambda: "does not serve the agent" in agent.output())
        shown = agent.output() + agent.page("/metrics") + " ".join(agent.command)
    token = agent.token_file.read_text()
    encoded = re.escape((place.secret(namespace, "ghcr") or {})["data"][".dockerconfigjson"])
    assert not re.search(f"canary|{re.escape(token)}|{encoded}", shown)
