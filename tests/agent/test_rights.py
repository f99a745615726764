"""What the agent's account may do: no more than its manifests say, whoever holds its token."""

from __future__ import annotations

import json
import ssl
import subprocess
from typing import Any

import httpx
import pytest

from pullpass.agent.marks import MANAGED
from tests.agent.conftest import Place, eventually
from tests.parts.kube import AGENT_TOKEN, Kube

NAMESPACE = "of-somebody"
ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "builder", "namespace": NAMESPACE, "annotations": {"team": "a"}},
    "secrets": [{"name": "mountable"}],
    "imagePullSecrets": [{"name": "of-others"}],
}


def secret(name: str, labels: dict[str, str]) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        }
    )


@pytest.fixture(scope="module")
def guarded(kube: Kube) -> Kube:
    """The cluster, once the API server has read the policy."""
    if not kube.real:
        pytest.skip("only a real API server knows policies: make kube-assets")
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, ACCOUNT)
    kube.create_secret(NAMESPACE, "of-others", password="x")
    eventually(lambda: "no secrets but" in as_agent(kube, "create", stdin=secret("probe", {})))
    return kube


def as_agent(kube: Kube, *arguments: str, stdin: str = "") -> str:
    """What kubectl says to whoever has the agent's token."""
    if stdin:
        arguments = (*arguments, "--validate=false", "-f", "-")
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(kube.agent_kubeconfig), "-n", NAMESPACE, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def patched(kube: Kube, patch: dict[str, Any]) -> str:
    """As the agent sends it; kubectl would read the account first, which the agent may not."""
    answer = httpx.patch(
        f"{kube.server.url}/api/v1/namespaces/{NAMESPACE}/serviceaccounts/builder",
        content=json.dumps(patch),
        headers={
            "Authorization": f"Bearer {AGENT_TOKEN}",
            "Content-Type": "application/merge-patch+json",
        },
        verify=ssl.create_default_context(cafile=str(kube.server.authority)),
    )
    return "patched" if answer.is_success else answer.text


def test_it_writes_no_secrets_but_its_own(guarded: Kube) -> None:
    assert "created" in as_agent(guarded, "create", stdin=secret("regcred-own", MANAGED))
    assert "without its label" in as_agent(guarded, "create", stdin=secret("regcred-else", {}))
    assert "no secrets but" in as_agent(guarded, "create", stdin=secret("token", MANAGED))
    assert "no secrets but" in as_agent(guarded, "delete", "secret", "of-others")
    assert "no secrets but" in as_agent(guarded, "label", "secret", "of-others", "a=b")
    assert "deleted" in as_agent(guarded, "delete", "secret", "regcred-own")
    assert guarded.names("secret", NAMESPACE) == ["of-others"]


@pytest.mark.parametrize(
    "patch",
    [
        {"secrets": []},
        {"automountServiceAccountToken": True},
        {"imagePullSecrets": []},
        {"metadata": {"annotations": {"team": "b"}}},
        {"metadata": {"annotations": {"team": None}}},
        {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn"}}},
        {"metadata": {"labels": {"a": "b"}}},
    ],
    ids=str,
)
def test_it_changes_nothing_else_of_an_account(guarded: Kube, patch: dict[str, Any]) -> None:
    assert "but its own imagePullSecrets" in patched(guarded, patch)


def test_it_enters_and_removes_its_own_names(guarded: Kube) -> None:
    both = [{"name": "of-others"}, {"name": "regcred-own"}]
    annotations = {"pullpass.dev/attached": "regcred-own"}
    entered = {"imagePullSecrets": both, "metadata": {"annotations": annotations}}
    assert "patched" in patched(guarded, entered)
    removed = {
        "imagePullSecrets": both[:1],
        "metadata": {"annotations": {"pullpass.dev/attached": None}},
    }
    assert "patched" in patched(guarded, removed)


def test_the_agent_works_under_the_policy(guarded: Kube, place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    place.agent()
    eventually(lambda: place.pull_secrets(namespace) == ["regcred-ghcr"])
