"""Many namespaces: each secret is written once, and then there is silence.

With PULLPASS_TEST_NAMESPACES=1000 it takes some minutes: `make test-scale`.
"""

from __future__ import annotations

import os

from tests.agent.conftest import Place, eventually

NAMESPACES = int(os.environ.get("PULLPASS_TEST_NAMESPACES", "30"))


def test_a_rotation_is_one_write_for_each_secret_and_then_nothing_is_asked(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    names = place.namespaces(NAMESPACES)
    # A leader that could not renew its lease in time would begin anew, and list everything again.
    unhurried = ("--qps", "1000", "--burst", "1000", "--lease-seconds", "9")
    agent = place.agent("--mode", "all", *unhurried)

    def attached() -> float:
        return agent.count("pullpass_agent_writes_total", kind="SetPullSecrets", result="done")

    eventually(lambda: place.applied(agent) >= NAMESPACES and attached() >= NAMESPACES, seconds=600)
    before = place.versions()
    assert set(before) == set(names)

    place.rotate("ghcr", "rotated")
    eventually(lambda: place.applied(agent) >= 2 * NAMESPACES, seconds=600)
    eventually(lambda: all(version != before[name] for name, version in place.versions().items()))

    # Nothing changes now, so nothing is written or asked, while the lease is renewed twice.
    quiet = requests(agent.page("/metrics"))
    leases = agent.count("pullpass_agent_api_requests_total", verb="LEASE")
    eventually(lambda: agent.count("pullpass_agent_api_requests_total", verb="LEASE") >= leases + 4)
    assert requests(agent.page("/metrics")) == quiet
    assert place.applied(agent) == 2 * NAMESPACES
    assert attached() == NAMESPACES


def requests(metrics: str) -> list[str]:
    """What was asked of the API server, but for the lease and the watches."""
    return sorted(
        line
        for line in metrics.splitlines()
        if line.startswith("pullpass_agent_api_requests_total")
        and 'verb="LEASE"' not in line
        and 'verb="WATCH"' not in line
    )
