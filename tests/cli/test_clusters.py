"""``pullpass cluster`` against a real server."""

from __future__ import annotations

import json

import pytest

from pullpass.client.clusters import Problem, RegistryReport
from pullpass.client.sync import Client
from tests.cli.conftest import Command
from tests.parts.server import PullpassServer


@pytest.fixture
def report(pullpass: PullpassServer, acme: Command) -> None:
    """What an agent of the cluster `eu-1` has to say."""
    problem = Problem("team-a", "conflict", "Another controller owns the secret.")
    registries = [RegistryReport("ghcr", 3, 1, 1, (problem,)), RegistryReport("quay", 2, 0, 0)]
    with Client(pullpass.url, "acme", pullpass.admin_token) as client:
        client.clusters.report(
            "eu-1", version="1.0", mode="needed", revision=7, namespaces=4, registries=registries
        )


def test_no_cluster_has_reported(acme: Command) -> None:
    shown = acme("cluster", "list")
    assert (shown.code, shown.out) == (0, "")
    assert "docs/kubernetes.md" in shown.err
    assert acme("cluster", "status", "eu-1").code == 4
    assert acme("cluster", "forget", "eu-1", "--yes").code == 4


@pytest.mark.usefixtures("report")
def test_a_cluster_from_its_report_to_its_end(acme: Command) -> None:
    header, row = acme("cluster", "list").out.splitlines()
    shown = dict(zip(header.split(), row.split(), strict=False))
    wanted = {"CLUSTER": "eu-1", "CONNECTED": "yes", "SECRETS": "5", "PENDING": "1", "FAILED": "1"}
    assert shown | wanted == shown
    assert json.loads(acme("cluster", "list", "-o", "json").out)[0]["namespaces"] == 4

    status = acme("cluster", "status", "eu-1").out
    assert "5 right, 1 pending, 1 failed" in status
    assert "Another controller owns the secret." in status
    assert [
        each["id"]
        for each in json.loads(acme("cluster", "status", "eu-1", "-o", "json").out)["registries"]
    ] == ["ghcr", "quay"]

    assert acme("cluster", "forget", "eu-1").code == 2
    assert acme("cluster", "forget", "eu-1", "--yes").code == 0
    assert acme("cluster", "list").out == ""
