"""A namespace gets the secrets that its images match, and no others."""

from __future__ import annotations

from tests.agent.conftest import PASSWORD, Place, eventually
from tests.parts.agent import CLUSTER


def test_a_pod_has_its_secret_attached_and_no_other(place: Place) -> None:
    place.basic("ghcr", "ghcr.io/acme")
    place.basic("quay", "quay.io")
    agent = place.agent()
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/acme/app:1")
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"], why=agent.output)
    assert place.auths(namespace, "ghcr") == {"ghcr.io/acme": f"robot:{PASSWORD}"}
    assert place.secret(namespace, "quay") is None

    found = place.secret(namespace, "ghcr")
    assert found is not None
    assert found["type"] == "kubernetes.io/dockerconfigjson"
    assert found["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "pullpass-agent",
        "pullpass.dev/record": "ghcr",
    }
    assert {entry["manager"] for entry in found["metadata"]["managedFields"]} == {"pullpass-agent"}

    status = eventually(
        lambda: next(
            (c for c in place.client.clusters.list() if c.secrets == 1 and not c.pending), None
        )
    )
    assert (status.id, status.connected, status.failed) == (CLUSTER, True, 0)


def test_pod_templates_count_before_there_is_a_pod(place: Place) -> None:
    place.basic("apps", "apps.example.com")
    place.basic("jobs", "jobs.example.com")
    namespace = place.namespace("a")
    labels = {"app": "x"}

    def template(image: str) -> dict[str, object]:
        return {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [{"name": "main", "image": "nginx"}],
                "initContainers": [{"name": "first", "image": image}],
                "restartPolicy": "Never" if image.startswith("jobs") else "Always",
            },
        }

    place.kube.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "app", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": template("apps.example.com/app:1"),
            },
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "job", "namespace": namespace},
            "spec": {
                "schedule": "0 0 1 1 *",
                "jobTemplate": {"spec": {"template": template("jobs.example.com/job:1")}},
            },
        },
    )
    agent = place.agent()
    wanted = ["regcred-apps", "regcred-jobs"]
    eventually(lambda: sorted(place.pull_secrets(namespace)) == wanted, why=agent.output)


def test_the_more_specific_record_wins_also_where_it_is_public(place: Place) -> None:
    place.basic("all", "registry.example.com")
    place.client.registries.create(
        {"id": "open", "registry": "registry.example.com/open", "type": "public"}
    )
    agent = place.agent()
    closed, opened = place.namespace("a"), place.namespace("b")
    place.pod(opened, "registry.example.com/open/app")
    place.pod(closed, "registry.example.com/closed/app")
    eventually(lambda: place.pull_secrets(closed) == ["regcred-all"], why=agent.output)
    assert place.kube.names("secrets", opened) == []


def test_what_is_no_longer_needed_goes_after_its_time_of_grace(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/acme/app")
    agent = place.agent("--grace", "1")
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"], why=agent.output)
    place.kube.kubectl("delete", "pod", "app", "-n", namespace, "--force", "--grace-period=0")
    eventually(lambda: place.secret(namespace, "ghcr") is None, why=agent.output)
    assert place.pull_secrets(namespace) == []


def test_within_its_time_of_grace_a_secret_stays(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    place.basic("quay", "quay.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/acme/app")
    agent = place.agent("--grace", "3600")
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"], why=agent.output)
    place.kube.kubectl("delete", "pod", "app", "-n", namespace, "--force", "--grace-period=0")
    place.pod(namespace, "quay.io/acme/app", "next")
    both = ["regcred-ghcr", "regcred-quay"]
    eventually(lambda: sorted(place.pull_secrets(namespace)) == both, why=agent.output)


def test_a_record_that_goes_takes_its_secrets_along(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/acme/app")
    agent = place.agent()
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"], why=agent.output)
    place.client.registries.delete("ghcr")
    eventually(lambda: place.secret(namespace, "ghcr") is None, why=agent.output)
    assert place.pull_secrets(namespace) == []


def test_a_changed_credential_reaches_every_namespace(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespaces = [place.namespace(name) for name in "abc"]
    for namespace in namespaces:
        place.pod(namespace, "ghcr.io/acme/app")
    agent = place.agent()
    for namespace in namespaces:
        eventually(lambda name=namespace: place.auths(name, "ghcr"), why=agent.output)  # type: ignore[misc]
    place.rotate("ghcr", "rotated")
    for namespace in namespaces:
        eventually(
            lambda name=namespace: place.auths(name, "ghcr") == {"ghcr.io": "robot:rotated"},  # type: ignore[misc]
            why=agent.output,
        )
    eventually(lambda: place.applied(agent) == 6, why=agent.output)


def test_all_gives_every_record_to_the_selected_namespaces(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    place.basic("hub", "docker.io/acme")
    namespace = place.namespace("a")
    agent = place.agent("--mode", "all", "--attach", "none")
    eventually(lambda: place.auths(namespace, "hub") == {"docker.io/acme": f"robot:{PASSWORD}"})
    eventually(lambda: place.auths(namespace, "ghcr"), why=agent.output)
    assert place.pull_secrets(namespace) == []
    assert place.kube.names("secrets", "default") == []
    late = place.namespace("b")
    eventually(lambda: len(place.kube.names("secrets", late)) == 2, why=agent.output)


def test_a_namespace_can_opt_out_and_in_again(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    asked = place.namespace("a")
    marked = place.namespace("b")
    place.kube.kubectl("label", "namespace", marked, "pullpass.dev/agent=disabled")
    agent = place.agent("--mode", "all", "--grace", "1")
    eventually(lambda: place.auths(asked, "ghcr"), why=agent.output)
    assert place.kube.names("secrets", marked) == []
    place.kube.kubectl("label", "namespace", marked, "pullpass.dev/agent-")
    eventually(lambda: place.auths(marked, "ghcr"), why=agent.output)
    place.kube.kubectl("annotate", "namespace", asked, "pullpass.dev/agent=disabled")
    eventually(lambda: place.kube.names("secrets", asked) == [], why=agent.output)


def test_excluded_names_are_left_alone(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    left, served = place.namespace("system"), place.namespace("a")
    agent = place.agent("--mode", "all", "--exclude", "*-system")
    eventually(lambda: place.auths(served, "ghcr"), why=agent.output)
    assert place.kube.names("secrets", left) == []
