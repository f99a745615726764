"""What agents ask and report, and who sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import Api

CLUSTERS = "/orgs/acme/clusters"
CHANGES = "/orgs/acme/changes"


def a_report(**fields: object) -> dict[str, Any]:
    return {"version": "1.0", "mode": "needed", "revision": 1, "namespaces": 2, **fields}


def a_registry(registry_id: str, **fields: object) -> dict[str, Any]:
    return {"id": registry_id, "secrets": 2, "pending": 0, "failed": 0, **fields}


async def test_a_report_is_read_back_with_its_sums_and_problems(api: Api) -> None:
    problem = {"namespace": "team-a", "code": "conflict", "message": "Another one owns it."}
    registries = [
        a_registry("ghcr", secrets=3, pending=1, held_in=["team-a", "team-b"]),
        a_registry("quay", secrets=4, failed=1, problems=[problem]),
    ]
    token = await api.token_for("cluster", "prod")
    answer = await api.call(
        "PUT", f"{CLUSTERS}/prod/status", token, json=a_report(registries=registries)
    )
    assert answer.status_code == 200, answer.text
    found = (await api.call("GET", f"{CLUSTERS}/prod")).json()
    assert found == answer.json()
    assert found["registries"] == registries
    listed = (await api.call("GET", CLUSTERS)).json()
    assert listed == [{name: value for name, value in found.items() if name != "registries"}]
    assert (found["secrets"], found["pending"], found["failed"]) == (7, 1, 1)
    assert found["connected"] is True


async def test_the_next_report_takes_the_place_of_the_last(api: Api) -> None:
    for namespaces in (1, 2):
        await api.call("PUT", f"{CLUSTERS}/prod/status", json=a_report(namespaces=namespaces))
    assert [each["namespaces"] for each in (await api.call("GET", CLUSTERS)).json()] == [2]


async def test_a_cluster_token_speaks_for_its_own_cluster_and_sees_no_other(api: Api) -> None:
    token = await api.token_for("cluster", "prod")
    await api.call("PUT", f"{CLUSTERS}/staging/status", json=a_report())
    refused = await api.call("PUT", f"{CLUSTERS}/staging/status", token, json=a_report())
    assert (refused.status_code, refused.json()["code"]) == (403, "other_cluster")
    hidden = await api.call("GET", f"{CLUSTERS}/staging", token)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "cluster_unknown")
    assert (await api.call("GET", CLUSTERS, token)).json() == []
    own = await api.call("PUT", f"{CLUSTERS}/prod/status", token, json=a_report())
    assert own.status_code == 200
    assert [each["id"] for each in (await api.call("GET", CLUSTERS, token)).json()] == ["prod"]


async def test_a_cluster_that_is_no_more_is_forgotten(api: Api) -> None:
    await api.call("PUT", f"{CLUSTERS}/prod/status", json=a_report())
    assert (await api.call("DELETE", f"{CLUSTERS}/prod")).status_code == 204
    gone = await api.call("DELETE", f"{CLUSTERS}/prod")
    assert (gone.status_code, gone.json()["code"]) == (404, "cluster_unknown")
    assert (await api.call("GET", CLUSTERS)).json() == []


@pytest.mark.parametrize(
    ("report", "fields"),
    [
        ({}, ["version", "mode", "revision", "namespaces"]),
        (a_report(mode="some", version=""), ["version", "mode"]),
        (a_report(revision=-1, namespaces=True), ["revision", "namespaces"]),
        (a_report(registries={}), ["registries"]),
        (a_report(registries=["ghcr"]), ["registries.0"]),
        (a_report(registries=[a_registry("")]), ["registries.0.id"]),
        (
            a_report(registries=[a_registry("A", failed=None)]),
            ["registries.0.id", "registries.0.failed"],
        ),
        (a_report(registries=[a_registry("ghcr", secret="s3cret")]), ["registries.0.secret"]),
        (
            a_report(registries=[a_registry("ghcr", problems=[{"namespace": 1, "code": "c"}])]),
            ["registries.0.problems.0.namespace", "registries.0.problems.0.message"],
        ),
        (a_report(registries=[a_registry("ghcr", held_in="all")]), ["registries.0.held_in"]),
        (a_report(registries=[a_registry("ghcr", held_in=["", "b"])]), ["registries.0.held_in"]),
        (a_report(registries=[a_registry("ghcr", held_in=["a"] * 101)]), ["registries.0.held_in"]),
        (a_report(extra=1), ["extra"]),
    ],
)
async def test_what_is_no_report_is_refused_field_by_field(
    api: Api, report: dict[str, Any], fields: list[str]
) -> None:
    answer = await api.call("PUT", f"{CLUSTERS}/prod/status", json=report)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["details"]["fields"]] == fields
    assert (await api.call("GET", CLUSTERS)).json() == []


async def test_a_name_that_no_cluster_has_is_refused(api: Api) -> None:
    answer = await api.call("PUT", f"{CLUSTERS}/-x-/status", json=a_report())
    assert answer.json()["details"]["fields"][0]["field"] == "cluster"


async def test_changes_are_told_by_id_since_a_revision(api: Api) -> None:
    start = (await api.call("GET", CHANGES)).json()
    assert set(start) == {"revision"}
    since = start["revision"]
    assert (await api.call("GET", f"{CHANGES}?since={since}")).status_code == 204
    await api.create(id="ghcr", registry="ghcr.io", type="public")
    await api.create(id="quay", registry="quay.io", type="public")
    told = (await api.call("GET", f"{CHANGES}?since={since}")).json()
    assert told == {"revision": since + 2, "registries": ["ghcr", "quay"]}
    again = await api.call("GET", f"{CHANGES}?since={told['revision']}")
    assert again.status_code == 204


async def test_who_waits_for_a_change_is_told_when_it_comes(api: Api) -> None:
    since = (await api.call("GET", CHANGES)).json()["revision"]
    waiting = asyncio.create_task(api.call("GET", f"{CHANGES}?since={since}&wait=55"))
    await api.create(id="ghcr", registry="ghcr.io", type="public")
    answer = await waiting
    assert answer.json() == {"revision": since + 1, "registries": ["ghcr"]}


async def test_who_is_shut_out_while_waiting_is_told_of_no_change(api: Api) -> None:
    user = {"name": "agent", "role": "cluster", "cluster": "prod"}
    user_id = (await api.call("POST", "/orgs/acme/users", json=user)).json()["id"]
    token = await api.token_of(user_id, id="first")
    other = await api.token_of(user_id, id="second")
    since = (await api.call("GET", CHANGES, token)).json()["revision"]
    path = f"{CHANGES}?since={since}&wait=55"
    waiting = [asyncio.create_task(api.call("GET", path, each)) for each in (token, other)]
    # They have been let in once a call that came after them is answered.
    assert (await api.call("GET", "/current-user", token)).status_code == 200
    await api.call("DELETE", f"/users/{user_id}/tokens/first")
    await api.create(id="ghcr", registry="ghcr.io", type="public")
    revoked, told = [await each for each in waiting]
    assert (revoked.status_code, revoked.json()["code"]) == (401, "invalid_token")
    assert told.json() == {"revision": since + 1, "registries": ["ghcr"]}


async def test_a_wait_without_a_change_ends_with_nothing(api: Api) -> None:
    since = (await api.call("GET", CHANGES)).json()["revision"]
    answer = await api.call("GET", f"{CHANGES}?since={since}&wait=1")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_who_knows_a_revision_that_never_was_reads_everything_anew(api: Api) -> None:
    """As after a database was restored from a backup."""
    head = (await api.call("GET", CHANGES)).json()["revision"]
    told = (await api.call("GET", f"{CHANGES}?since={head + 7}&wait=55")).json()
    assert told == {"revision": head}


@pytest.mark.parametrize("query", ["since=-1", "since=x", "since=1&since=2", "wait=56", "wait="])
async def test_a_bad_query_is_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"{CHANGES}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_fields")
