"""Whatever is killed, restarted or away: in the end all is as it should be, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal

from tests.agent.conftest import PASSWORD, Place, eventually

RIGHT = {"ghcr.io": f"robot:{PASSWORD}"}
ROTATED = {"ghcr.io": "robot:rotated"}


def rotate(place: Place) -> None:
    creds = {"username": "robot", "password": "rotated"}
    place.client.registries.update("ghcr", {"creds": creds})  # type: ignore[typeddict-item]


def many(place: Place, count: int) -> list[str]:
    """That many namespaces with a pod each."""
    names = [f"{place.label}-{number}" for number in range(count)]
    for name in names:
        labels = {"test": place.label}
        place.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": labels},
            },
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name},
            },
        )
    return names


def secrets_of(place: Place) -> dict[str, str]:
    """Namespace -> the data of its secret, of all namespaces of this test."""
    text = place.kube.kubectl("get", "secrets", "-A", "-l", "pullpass.dev/record", "-o", "json")
    return {
        each["metadata"]["namespace"]: each["data"][".dockerconfigjson"]
        for each in json.loads(text)["items"]
        if each["metadata"]["namespace"].startswith(place.label)
    }


def test_pullpass_away_changes_nothing_and_is_caught_up_with(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent()
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
    place.pullpass.stop()
    # What is known is still given to those who come new.
    late = place.namespace("b")
    place.pod(late, "ghcr.io/app")
    eventually(lambda: place.auths(late, "ghcr") == RIGHT, why=agent.output)
    assert place.auths(namespace, "ghcr") == RIGHT
    place.pullpass.start()
    rotate(place)
    for each in (namespace, late):
        eventually(
            lambda name=each: place.auths(name, "ghcr") == ROTATED,  # type: ignore[misc]
            why=agent.output,
        )


def test_an_agent_that_starts_before_pullpass_waits_for_it(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    token = place.token()
    place.pullpass.stop()
    agent = place.replica(token=token)
    eventually(lambda: "does not serve the agent" in agent.output())
    place.pullpass.start()
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)


def test_a_killed_agent_leaves_a_rotation_to_the_next_one(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    names = many(place, 40)
    first = place.agent("--mode", "all", "--qps", "20", "--burst", "5")
    eventually(lambda: len(secrets_of(place)) == len(names), why=first.output)
    before = secrets_of(place)[names[0]]
    rotate(place)
    eventually(
        lambda: (
            before not in set(secrets_of(place).values())
            or any(each != before for each in secrets_of(place).values())
        ),
        why=first.output,
    )
    first.kill()
    assert before in secrets_of(place).values(), "killed too late to show anything"
    second = place.agent("--mode", "all")
    eventually(
        lambda: (
            len(set(secrets_of(place).values())) == 1 and before not in secrets_of(place).values()
        ),
        why=second.output,
    )
    assert set(secrets_of(place)) == set(names)


def test_the_second_replica_takes_over_from_one_that_was_killed(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    token = place.token()
    first = place.agent(token=token)
    second = place.replica(token=token)
    eventually(lambda: second.page("/health/ready") == "waiting for the lease\n")
    first.kill()
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=second.output)
    assert second.leads()


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
    agent = place.agent()
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


def test_a_token_that_was_replaced_is_read_again(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    user = place.client.users.create("agent", "cluster", cluster="prod")
    old = place.client.tokens.create(user.id, "old").token.reveal()
    agent = place.agent(token=old)
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
    place.client.tokens.delete(user.id, "old")
    rotate(place)
    eventually(lambda: "does not serve the agent" in agent.output())
    agent.token_file.write_text(place.client.tokens.create(user.id, "new").token.reveal())
    eventually(lambda: place.auths(namespace, "ghcr") == ROTATED, why=agent.output)


def test_no_secret_is_in_the_log_or_the_metrics(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent("--log-level", "debug")
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
    place.pullpass.stop()
    eventually(lambda: "does not serve the agent" in agent.output())
    shown = agent.output() + agent.page("/metrics") + " ".join(agent.command)
    token = agent.token_file.read_text()
    encoded = re.escape((place.secret(namespace, "ghcr") or {})["data"][".dockerconfigjson"])
    place.pullpass.start()
    assert not re.search(f"canary|{re.escape(token)}|{encoded}", shown)
