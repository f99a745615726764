"""`secret_ref` records: a secret of the cluster, copied to where it is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from pullpass.client.models import SecretReferenceFields
from tests.agent.conftest import Place, eventually
from tests.parts.agent import CLUSTER

CONFIG = json.dumps({"auths": {"r.example.com": {"auth": "dTpw"}}})
COPY = "regcred-copied"


def make_source(place: Place, name: str, **literals: str) -> str:
    """A secret in a namespace of its own, which no agent looks after; returns that namespace."""
    namespace = f"{place.label}-vault"
    place.kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": {"argocd": "theirs"}},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": CONFIG, **literals},
        },
    )
    return namespace


def refer(place: Place, secrets: Mapping[str, SecretReferenceFields]) -> None:
    place.client.registries.create(
        {"id": "copied", "registry": "r.example.com", "type": "secret_ref", "secrets": secrets}
    )


def test_a_copy_follows_its_source_and_goes_with_the_record(place: Place) -> None:
    vault = make_source(place, "shared", extra="first")
    refer(place, {"*": {"namespace": vault, "secret": "shared"}})
    namespace = place.namespace("a")
    place.pod(namespace, "r.example.com/app")
    agent = place.agent()
    eventually(lambda: place.pull_secrets(namespace) == [COPY], why=agent.output)
    found = place.secret(namespace, "copied")
    assert found is not None
    assert found["type"] == "kubernetes.io/dockerconfigjson"
    assert set(found["data"]) == {".dockerconfigjson", "extra"}
    assert "argocd" not in found["metadata"]["labels"]

    place.kube.kubectl(
        *("patch", "secret", "shared", "-n", vault, "-p"),
        json.dumps({"data": {"extra": None, "other": "c2Vjb25k"}}),
    )
    eventually(
        lambda: (
            set((place.secret(namespace, "copied") or {})["data"]) == {".dockerconfigjson", "other"}
        ),
        why=agent.output,
    )

    place.client.registries.delete("copied")
    eventually(lambda: place.secret(namespace, "copied") is None, why=agent.output)
    assert place.kube.get("secret", "shared", vault) is not None


@pytest.mark.parametrize("exact", [True, False])
def test_the_secret_for_this_cluster_comes_before_that_for_all(place: Place, exact: bool) -> None:
    vault = make_source(place, "own", which="own")
    make_source(place, "any", which="any")
    secrets: dict[str, SecretReferenceFields] = {
        "*": {"namespace": vault, "secret": "any"},
        "elsewhere": {"namespace": vault, "secret": "nowhere"},
    }
    if exact:
        secrets[CLUSTER] = {"namespace": vault, "secret": "own"}
    refer(place, secrets)
    namespace = place.namespace("a")
    place.pod(namespace, "r.example.com/app")
    agent = place.agent()
    found = eventually(lambda: place.secret(namespace, "copied"), why=agent.output)
    assert found["data"]["which"] == ("b3du" if exact else "YW55")


def test_a_source_that_is_missing_is_told_and_waited_for(place: Place) -> None:
    refer(place, {"*": {"namespace": f"{place.label}-vault", "secret": "late"}})
    namespace = place.namespace("a")
    place.pod(namespace, "r.example.com/app")
    agent = place.agent()
    eventually(lambda: "PullSecretSourceMissing" in place.reasons(namespace), why=agent.output)
    vault = make_source(place, "late")
    eventually(lambda: place.pull_secrets(namespace) == [COPY], why=agent.output)

    place.kube.kubectl("delete", "secret", "late", "-n", vault)
    eventually(lambda: any(c.failed for c in place.client.clusters.list()), why=agent.output)
    assert place.secret(namespace, "copied") is not None


def test_a_record_for_other_clusters_gives_nothing_here(place: Place) -> None:
    vault = make_source(place, "theirs")
    refer(place, {"elsewhere": {"namespace": vault, "secret": "theirs"}})
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "r.example.com/app")
    place.pod(namespace, "ghcr.io/app", "other")
    agent = place.agent()
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"], why=agent.output)
    assert place.secret(namespace, "copied") is None


def test_the_type_of_a_copy_changes_with_its_source(place: Place) -> None:
    vault = make_source(place, "shared")
    refer(place, {"*": {"namespace": vault, "secret": "shared"}})
    namespace = place.namespace("a")
    place.pod(namespace, "r.example.com/app")
    agent = place.agent()
    eventually(lambda: place.pull_secrets(namespace) == [COPY], why=agent.output)
    place.kube.kubectl("delete", "secret", "shared", "-n", vault)
    place.kube.create_secret(vault, "shared", key="value")
    eventually(
        lambda: (place.secret(namespace, "copied") or {}).get("type") == "Opaque",
        why=agent.output,
    )


def test_what_is_no_pull_secret_or_not_to_be_touched_is_not_copied(place: Place) -> None:
    namespace = place.namespace("a")
    vault, system = f"{place.label}-vault", f"{place.label}-system"
    kinds = {vault: "kubernetes.io/tls", system: "kubernetes.io/dockerconfigjson"}
    for where, kind in kinds.items():
        data = {"tls.crt": "", "tls.key": "canary", ".dockerconfigjson": CONFIG}
        place.kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "theirs", "namespace": where},
                "type": kind,
                "stringData": data,
            },
        )
        place.client.registries.create(
            {
                "id": where,
                "registry": f"{where}.example.com",
                "type": "secret_ref",
                "secrets": {"*": {"namespace": where, "secret": "theirs"}},
            }
        )
        place.pod(namespace, f"{where}.example.com/app", where)
    agent = place.agent("--exclude", "*-system")

    def told() -> list[str]:
        found = next(iter(place.client.clusters.list()), None)
        if found is None:
            return []
        records = place.client.clusters.get(found.id).registries
        return sorted(p.message for each in records for p in each.problems)

    eventually(lambda: len(told()) == 2, why=agent.output)
    assert told() == [
        f"{system}/theirs is not copied: its namespace is one that the agent leaves alone.",
        f"{vault}/theirs is not copied: it is of the type kubernetes.io/tls, and no pull secret.",
    ]
    eventually(lambda: "PullSecretSourceRefused" in place.reasons(namespace), why=agent.output)
    assert place.secrets() == {}
