"""Service accounts name the secrets, and keep what others have entered."""

from __future__ import annotations

from typing import Any

from tests.agent.conftest import Place, eventually


def account(namespace: str, name: str, *pull_secrets: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
        "imagePullSecrets": [{"name": each} for each in pull_secrets],
    }


def test_others_entries_stay_whatever_comes_and_goes(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.kube.apply(account(namespace, "default", "theirs"))
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent("--grace", "1")
    both = ["theirs", "regcred-ghcr"]
    eventually(lambda: place.pull_secrets(namespace) == both, why=agent.output)

    patch = '[{"op": "add", "path": "/imagePullSecrets/0", "value": {"name": "later"}}]'
    place.kube.kubectl(
        *("patch", "serviceaccount", "default", "-n", namespace, "--type=json", "-p", patch)
    )
    place.kube.kubectl("delete", "pod", "app", "-n", namespace, "--force", "--grace-period=0")
    eventually(lambda: place.pull_secrets(namespace) == ["later", "theirs"], why=agent.output)


def test_an_entry_that_somebody_else_made_is_not_taken_away(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.kube.apply(account(namespace, "default", "regcred-ghcr"))
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent("--grace", "0.5")
    eventually(lambda: place.auths(namespace, "ghcr"), why=agent.output)
    place.kube.kubectl("delete", "pod", "app", "-n", namespace, "--force", "--grace-period=0")
    eventually(lambda: place.secret(namespace, "ghcr") is None, why=agent.output)
    assert place.pull_secrets(namespace) == ["regcred-ghcr"]


def test_an_entry_that_was_taken_away_comes_back(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent()
    wanted = ["regcred-ghcr"]
    eventually(lambda: place.pull_secrets(namespace) == wanted, why=agent.output)
    patch = '{"imagePullSecrets": null}'
    place.kube.kubectl(
        *("patch", "serviceaccount", "default", "-n", namespace, "--type=merge", "-p", patch)
    )
    eventually(lambda: place.pull_secrets(namespace) == wanted, why=agent.output)


def test_all_accounts_where_that_is_asked_for_and_new_ones_too(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.kube.apply(account(namespace, "builder"))
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent("--attach", "all")
    wanted = ["regcred-ghcr"]
    eventually(lambda: place.pull_secrets(namespace, "builder") == wanted, why=agent.output)
    place.kube.apply(account(namespace, "late"))
    eventually(lambda: place.pull_secrets(namespace, "late") == wanted, why=agent.output)
    assert place.pull_secrets(namespace) == wanted
