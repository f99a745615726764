from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pullpass.client.models import CredsFields, RegistryFields
from pullpass.client.sync import Client
from tests.parts import kube as kubes
from tests.parts.agent import CLUSTER, Agent, agent
from tests.parts.kube import ROOT, Kube
from tests.parts.server import PullpassServer, pullpass_server

PASSWORD = "canary-registry-password-5b1e"


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """One cluster for all tests of this folder; each takes namespaces of its own."""
    with kubes.kube(tmp_path_factory.mktemp("kube")) as found:
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "pullpass-system"},
        }
        found.apply(namespace)
        # The stand-in of the API server knows no policies.
        for name in ("agent-rbac", *(["agent-policy"] if found.real else [])):
            path = str(ROOT / "deploy" / "kubernetes" / f"{name}.yaml")
            found.kubectl("apply", "--server-side", "--validate=false", "-f", path)
        yield found


@pytest.fixture(scope="session")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data", env=env) as server:
        yield server


def eventually(
    condition: Callable[[], Any], *, seconds: float = 60, why: Callable[[], str] = str
) -> Any:
    """The first true value of ``condition()``; fails where there is none in ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"not in {seconds} s\n{why()}"
        time.sleep(0.05)


def auths_of(secret: dict[str, Any] | None) -> dict[str, str]:
    """What is in a pull secret: key -> `user:password`; empty where it is none."""
    if secret is None or ".dockerconfigjson" not in secret.get("data", {}):
        return {}
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return {key: base64.b64decode(entry["auth"]).decode() for key, entry in config["auths"].items()}


@dataclass
class Place:
    """A cluster, Pullpass, an agent between them, and the namespaces of one test."""

    kube: Kube
    pullpass: PullpassServer
    client: Client
    folder: Path
    label: str
    stack: ExitStack
    env: Mapping[str, str] = field(default_factory=dict)

    def agent(self, *arguments: str, token: str | None = None) -> Agent:
        """A replica that looks after this test's namespaces, and leads."""
        running = self.replica(*arguments, token=token)
        running.wait_until_leading()
        return running

    def replica(self, *arguments: str, token: str | None = None) -> Agent:
        return self.stack.enter_context(
            agent(
                self.folder,
                self.kube,
                self.pullpass,
                token or self.token(),
                *("--namespace-selector", f"test={self.label}"),
                *("--lease-name", f"agent-{self.label}", "--lease-seconds", "3"),
                *arguments,
                env=self.env,
            )
        )

    def token(self) -> str:
        """Of the role `cluster`, for this cluster."""
        user = self.client.users.create("agent", "cluster", cluster=CLUSTER)
        return self.client.tokens.create(user.id, "first").token.reveal()

    def rotate(self, record_id: str, password: str) -> None:
        creds: CredsFields = {"username": "robot", "password": password}
        self.client.registries.update(record_id, {"creds": creds})

    def basic(self, record_id: str, registry: str, password: str = PASSWORD) -> None:
        creds: CredsFields = {"username": "robot", "password": password}
        fields: RegistryFields = {
            "id": record_id,
            "registry": registry,
            "type": "basic",
            "creds": creds,
        }
        self.client.registries.create(fields)

    def namespace(self, name: str, **labels: str) -> str:
        """A namespace of this test with a default service account; returns its whole name."""
        whole = f"{self.label}-{name}"
        self.kube.apply(*self._namespace(whole, labels))
        return whole

    def namespaces(self, count: int) -> list[str]:
        """As many of them; returns their names."""
        names = [f"{self.label}-{number}" for number in range(count)]
        for start in range(0, count, 100):
            chunk = names[start : start + 100]
            self.kube.apply(*(each for name in chunk for each in self._namespace(name, {})))
        return names

    def _namespace(self, whole: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": whole, "labels": {"test": self.label, **labels}},
            },
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": whole},
            },
        ]

    def pod(self, namespace: str, image: str, name: str = "app") -> None:
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"containers": [{"name": "app", "image": image}]},
            }
        )

    def secret(self, namespace: str, record_id: str) -> dict[str, Any] | None:
        return self.kube.get("secret", f"regcred-{record_id}", namespace)

    def secrets(self) -> dict[str, dict[str, Any]]:
        """Namespace -> the agent's secret there, which may be only one."""
        text = self.kube.kubectl("get", "secrets", "-A", "-l", "pullpass.dev/record", "-o", "json")
        return {
            each["metadata"]["namespace"]: each
            for each in json.loads(text)["items"]
            if each["metadata"]["namespace"].startswith(f"{self.label}-")
        }

    def versions(self) -> dict[str, str]:
        """Namespace -> the version of its secret, which is another one after each change."""
        return {
            name: found["metadata"]["resourceVersion"] for name, found in self.secrets().items()
        }

    def auths(self, namespace: str, record_id: str) -> dict[str, str]:
        return auths_of(self.secret(namespace, record_id))

    def applied(self, agent: Agent) -> int:
        """How many secrets that replica has written."""
        return int(agent.count("pullpass_agent_writes_total", kind="ApplySecret", result="done"))

    def tidy(self) -> None:
        """Remove the secrets and accounts of this test."""
        text = self.kube.kubectl("get", "secrets,serviceaccounts", "-A", "-o", "json")
        own = [
            {key: each[key] for key in ("apiVersion", "kind", "metadata")}
            for each in json.loads(text)["items"]
            if each["metadata"]["namespace"].startswith(f"{self.label}-")
        ]
        listed = {"apiVersion": "v1", "kind": "List", "items": own}
        if own:
            self.kube.kubectl("delete", "--wait=false", "-f", "-", stdin=json.dumps(listed))

    def reasons(self, namespace: str) -> set[str]:
        """Those of the events there."""
        text = self.kube.kubectl("get", "events", "-n", namespace, "-o", "json")
        return {each["reason"] for each in json.loads(text)["items"]}

    def pull_secrets(self, namespace: str, account: str = "default") -> list[str]:
        found = self.kube.get("serviceaccount", account, namespace)
        return [each["name"] for each in (found or {}).get("imagePullSecrets", [])]


@pytest.fixture
def place(
    kube: Kube, pullpass: PullpassServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Place]:
    label = f"t{abs(hash(request.node.nodeid)) % 10**8}"
    with (
        Client(pullpass.url, pullpass.organization, pullpass.admin_token) as client,
        ExitStack() as stack,
    ):
        found = Place(kube, pullpass, client, tmp_path, label, stack)
        yield found
        # Cluster and server are everybody's: the next one finds nothing to tidy up.
        stack.close()
        found.tidy()
        for record in client.registries.list():
            client.registries.delete(record.id)
        for cluster in client.clusters.list():
            client.clusters.forget(cluster.id)
