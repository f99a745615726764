"""Many namespaces: each secret is written once, and then there is silence.

With PULLPASS_TEST_NAMESPACES=1000 it takes some minutes: `make test-scale`.
"""

from __future__ import annotations

import json
import os

from tests.agent.conftest import Place, eventually

NAMESPACES = int(os.environ.get("PULLPASS_TEST_NAMESPACES", "30"))


def test_a_rotation_is_one_write_for_each_secret_and_then_nothing_is_asked(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    names = [f"{place.label}-{number}" for number in range(NAMESPACES)]
    for start in range(0, NAMESPACES, 100):
        chunk = names[start : start + 100]
        place.kube.apply(
            *(
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": name, "labels": {"test": place.label}},
                }
                for name in chunk
            ),
            *(
                {
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "metadata": {"name": "default", "namespace": name},
                }
                for name in chunk
            ),
        )
    # A leader that could not renew its lease in time would begin anew, and list everything again.
    unhurried = ("--qps", "1000", "--burst", "1000", "--lease-seconds", "9")
    agent = place.agent("--mode", "all", *unhurried)

    def applied() -> float:
        return agent.count("pullpass_agent_writes_total", kind="ApplySecret", result="done")

    def attached() -> float:
        return agent.count("pullpass_agent_writes_total", kind="SetPullSecrets", result="done")

    eventually(lambda: applied() >= NAMESPACES and attached() >= NAMESPACES, seconds=600)
    before = versions(place)
    assert set(before) == set(names)

    creds = {"username": "robot", "password": "rotated"}
    place.client.registries.update("ghcr", {"creds": creds})  # type: ignore[typeddict-item]
    eventually(lambda: applied() >= 2 * NAMESPACES, seconds=600)
    eventually(lambda: all(version != before[name] for name, version in versions(place).items()))

    # Nothing changes now, so nothing is written or asked, while the lease is renewed twice.
    quiet = requests(agent.page("/metrics"))
    leases = agent.count("pullpass_agent_api_requests_total", verb="LEASE")
    eventually(lambda: agent.count("pullpass_agent_api_requests_total", verb="LEASE") >= leases + 4)
    assert requests(agent.page("/metrics")) == quiet
    assert applied() == 2 * NAMESPACES
    assert attached() == NAMESPACES


def versions(place: Place) -> dict[str, str]:
    """Namespace -> the version of its secret."""
    text = place.kube.kubectl("get", "secrets", "-A", "-l", "pullpass.dev/record", "-o", "json")
    return {
        each["metadata"]["namespace"]: each["metadata"]["resourceVersion"]
        for each in json.loads(text)["items"]
        if each["metadata"]["namespace"].startswith(f"{place.label}-")
    }


def requests(metrics: str) -> list[str]:
    """What was asked of the API server, but for the lease and the watches."""
    return sorted(
        line
        for line in metrics.splitlines()
        if line.startswith("pullpass_agent_api_requests_total")
        and 'verb="LEASE"' not in line
        and 'verb="WATCH"' not in line
    )
