"""What is the agent's stays as it should be; what is somebody else's stays theirs."""

from __future__ import annotations

import json

from tests.agent.conftest import PASSWORD, Place, eventually

RIGHT = {"ghcr.io": f"robot:{PASSWORD}"}
EMPTY = "eyJhdXRocyI6IHt9fQ=="  # {"auths": {}}


def served(place: Place) -> str:
    """A namespace that has its secret."""
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent()
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"], why=agent.output)
    return namespace


def test_a_deleted_secret_comes_back(place: Place) -> None:
    namespace = served(place)
    place.kube.kubectl("delete", "secret", "regcred-ghcr", "-n", namespace)
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT)


def test_an_edited_secret_is_put_right(place: Place) -> None:
    namespace = served(place)
    patch = json.dumps({"data": {".dockerconfigjson": EMPTY}})
    place.kube.kubectl("patch", "secret", "regcred-ghcr", "-n", namespace, "-p", patch)
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT)


def test_a_secret_without_its_label_is_found_again(place: Place) -> None:
    namespace = served(place)
    place.kube.kubectl(
        "label", "secret", "regcred-ghcr", "-n", namespace, "app.kubernetes.io/managed-by-"
    )
    eventually(
        lambda: (
            (place.secret(namespace, "ghcr") or {})["metadata"]["labels"].get(
                "app.kubernetes.io/managed-by"
            )
            == "pullpass-agent"
        )
    )


def test_what_another_controller_adds_is_kept(place: Place) -> None:
    namespace = served(place)
    extra = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "regcred-ghcr",
            "namespace": namespace,
            "labels": {"team": "theirs"},
        },
        "data": {"extra": "dGhlaXJz"},
    }
    place.kube.kubectl(
        *("apply", "--server-side", "--validate=false", "--field-manager=other", "-f", "-"),
        stdin=json.dumps(extra),
    )
    place.rotate("ghcr", "rotated")
    eventually(lambda: place.auths(namespace, "ghcr") == {"ghcr.io": "robot:rotated"})
    found = place.secret(namespace, "ghcr")
    assert found is not None
    assert found["data"]["extra"] == "dGhlaXJz"
    assert found["metadata"]["labels"]["team"] == "theirs"


def test_a_controller_that_owns_the_data_and_gives_up_loses(place: Place) -> None:
    namespace = served(place)
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "regcred-ghcr", "namespace": namespace},
        "data": {".dockerconfigjson": EMPTY},
    }
    for _ in range(2):
        place.kube.kubectl(
            *("apply", "--server-side", "--force-conflicts", "--field-manager=other"),
            "--validate=false",
            *("-f", "-"),
            stdin=json.dumps(theirs),
        )
        eventually(lambda: place.auths(namespace, "ghcr") == RIGHT)


def test_who_never_gives_up_is_reported_and_not_fought(place: Place) -> None:
    namespace = served(place)

    def contested() -> bool:
        patch = json.dumps({"data": {".dockerconfigjson": EMPTY}})
        place.kube.kubectl("patch", "secret", "regcred-ghcr", "-n", namespace, "-p", patch)
        return "PullSecretContested" in place.reasons(namespace)

    eventually(contested)
    # And yet it is put right, in the end.
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT)


def test_a_secret_of_the_name_that_is_not_the_agents_is_left_alone(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.kube.create_secret(namespace, "regcred-ghcr", key="theirs")
    place.pod(namespace, "ghcr.io/app")
    agent = place.agent()
    events = ("get", "events", "-n", namespace, "-o", "json")
    eventually(lambda: json.loads(place.kube.kubectl(*events))["items"], why=agent.output)
    (event,) = json.loads(place.kube.kubectl(*events))["items"]
    assert event["reason"] == "PullSecretSecretTaken"
    assert event["involvedObject"]["kind"] == "Namespace"
    found = place.secret(namespace, "ghcr")
    assert found is not None
    assert found["data"] == {"key": "dGhlaXJz"}

    status = eventually(lambda: next((c for c in place.client.clusters.list() if c.failed), None))
    (registry,) = place.client.clusters.get(status.id).registries
    assert [(p.namespace, p.code) for p in registry.problems] == [(namespace, "secret_taken")]

    place.kube.kubectl("delete", "secret", "regcred-ghcr", "-n", namespace)
    place.pod(namespace, "ghcr.io/other", "other")
    eventually(lambda: place.auths(namespace, "ghcr") == RIGHT, why=agent.output)
