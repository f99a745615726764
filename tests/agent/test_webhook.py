"""Pods are created with the names of their secrets, whatever happens to the agent."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.agent.conftest import PASSWORD, Place, eventually
from tests.parts.agent import Agent
from tests.parts.kube import ROOT
from tests.parts.ports import free_port

SYSTEM = "pullpass-system"
SECRET = "pullpass-agent-webhook"
IMAGE = "ghcr.io/acme/app:1"


@dataclass
class Hook:
    """The webhook of one test: the configuration leads to ``port`` of this machine."""

    place: Place
    port: int

    def agent(self, *arguments: str) -> Agent:
        running = self.place.agent("--webhook", f"127.0.0.1:{self.port}", *arguments)
        self.wait_until_asked(running.output)
        return running

    def wait_until_asked(self, why: Callable[[], str]) -> None:
        """The API server hears of the configuration, and of a namespace, a moment later."""
        warm = self.place.namespace("warm")
        eventually(lambda: self.dry_run(warm), why=why)

    def dry_run(self, namespace: str) -> list[str]:
        """What a pod would be created with."""
        return names(
            json.loads(
                self.place.kube.kubectl(
                    *("run", "probe", f"--image={IMAGE}", "-n", namespace),
                    *("--dry-run=server", "-o", "json"),
                )
            )
        )

    def run(self, namespace: str, name: str = "app", *arguments: str) -> list[str]:
        """Make a pod, as people do; what it has been created with."""
        text = self.place.kube.kubectl(
            *("run", name, f"--image={IMAGE}", "-n", namespace, "-o", "json"), *arguments
        )
        return names(json.loads(text))

    def configure(self, **client: object) -> None:
        """Apply the configuration as it is shipped, but for where it leads to, and for whom."""
        path = ROOT / "deploy/kubernetes/agent-webhook.yaml"
        shipped = list(yaml.safe_load_all(path.read_text()))
        (found,) = (each for each in shipped if each["kind"] == "MutatingWebhookConfiguration")
        found["webhooks"][0]["clientConfig"] = client
        found["webhooks"][0]["namespaceSelector"]["matchLabels"] = {"test": self.place.label}
        # The tests' machine is busy with others'; an answer that is late is no answer.
        found["webhooks"][0]["timeoutSeconds"] = 30
        self.place.kube.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(found))

    @property
    def trusted(self) -> str:
        """The PEM by which the API server knows the agent."""
        kind = "mutatingwebhookconfiguration"
        text = self.place.kube.kubectl("get", kind, "pullpass-agent", "-o", "json")
        client = json.loads(text)["webhooks"][0]["clientConfig"]
        return base64.b64decode(client.get("caBundle", "")).decode()

    @property
    def certificate(self) -> x509.Certificate:
        found = self.place.kube.get("secret", SECRET, SYSTEM)
        assert found is not None
        return x509.load_pem_x509_certificate(base64.b64decode(found["data"]["tls.crt"]))


def names(pod: dict[str, Any]) -> list[str]:
    return [each["name"] for each in pod["spec"].get("imagePullSecrets", [])]


@pytest.fixture
def hook(place: Place) -> Iterator[Hook]:
    if not place.kube.real:
        pytest.skip("only a real API server asks webhooks: make kube-assets")
    place.basic("ghcr", "ghcr.io/acme")
    place.basic("quay", "quay.io")
    made = Hook(place, free_port())
    made.configure(url=f"https://127.0.0.1:{made.port}/mutate")
    yield made
    place.stack.close()
    kind = "mutatingwebhookconfiguration"
    place.kube.kubectl("delete", "--ignore-not-found", kind, "pullpass-agent")
    place.kube.kubectl("delete", "--ignore-not-found", "secret", SECRET, "-n", SYSTEM)


@pytest.mark.parametrize("mode", ["needed", "all"])
def test_the_first_pod_of_a_new_namespace_names_its_secrets(
    hook: Hook, place: Place, mode: str
) -> None:
    agent = hook.agent("--mode", mode, "--attach", "none")
    namespace = f"{place.label}-new"
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {
            "containers": [{"name": "app", "image": IMAGE}, {"name": "b", "image": "nginx"}],
            "initContainers": [{"name": "first", "image": "quay.io/acme/init"}],
            "imagePullSecrets": [{"name": "theirs"}, {"name": "regcred-quay"}],
        },
    }
    labels = {"test": place.label}
    # Both at once: nothing is known of the namespace when its pod comes.
    place.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        },
        pod,
    )
    found = place.kube.get("pod", "app", namespace)
    assert found is not None
    assert names(found) == ["theirs", "regcred-quay", "regcred-ghcr"]
    eventually(
        lambda: place.auths(namespace, "ghcr") == {"ghcr.io/acme": f"robot:{PASSWORD}"},
        why=agent.output,
    )
    assert hook.run(namespace, "other", "--image=docker.io/library/nginx") == []
    assert agent.count("pullpass_agent_admissions_total", result="patched") >= 2
    assert agent.count("pullpass_agent_admissions_total", result="unchanged") >= 1


def test_without_an_agent_pods_are_created_as_they_are(hook: Hook, place: Place) -> None:
    agent = hook.agent("--attach", "none")
    namespace = place.namespace("a")
    assert hook.run(namespace, "before") == ["regcred-ghcr"]
    agent.kill()
    assert hook.run(namespace, "without") == []


def test_who_is_not_to_be_served_is_left_alone(hook: Hook, place: Place) -> None:
    agent = hook.agent("--exclude", "*-ours", "--attach", "none")
    excluded, labelled = place.namespace("ours"), place.namespace("b")
    annotated, served = place.namespace("c"), place.namespace("d")
    place.kube.kubectl("label", "namespace", labelled, "pullpass.dev/agent=disabled")
    place.kube.kubectl("annotate", "namespace", annotated, "pullpass.dev/agent=disabled")
    assert hook.run(served) == ["regcred-ghcr"]
    assert hook.run(excluded) == []
    eventually(lambda: hook.dry_run(labelled) == [], why=agent.output)
    eventually(lambda: hook.dry_run(annotated) == [], why=agent.output)
    # What a kubelet makes for a static pod, which it may not with the name of a secret.
    mirror = {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}
    overrides = json.dumps({**mirror, "spec": {"nodeName": "a"}})
    assert hook.run(served, "mirror", f"--overrides={overrides}") == []


def test_the_certificate_is_renewed_while_pods_are_created(hook: Hook, place: Place) -> None:
    # It lives for 52 seconds.
    agent = hook.agent("--webhook-days", "0.0006", "--attach", "none")
    namespace, first = place.namespace("a"), hook.certificate
    second = None
    count = after = 0
    while after < 5:
        count += 1
        found = hook.run(namespace, f"pod-{count}")
        assert found == ["regcred-ghcr"], (count, agent.output())
        if second is None and (now := hook.certificate).serial_number != first.serial_number:
            second = now
        after += second is not None
    # The authority of the first is trusted still, and nobody has to hurry.
    assert hook.trusted.count("BEGIN CERTIFICATE") == 2
    assert second is not None
    assert first.not_valid_after_utc > second.not_valid_before_utc


def test_a_certificate_that_is_lost_and_an_authority_that_is_changed_are_put_right(
    hook: Hook, place: Place
) -> None:
    agent = hook.agent("--attach", "none")
    first = hook.certificate
    place.kube.kubectl("delete", "secret", SECRET, "-n", SYSTEM)
    eventually(lambda: place.kube.get("secret", SECRET, SYSTEM), why=agent.output)
    assert hook.certificate.serial_number != first.serial_number
    assert hook.run(place.namespace("a")) == ["regcred-ghcr"]
    right = hook.trusted
    patch = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
    place.kube.kubectl(
        *("patch", "mutatingwebhookconfiguration", "pullpass-agent"),
        *("--type=json", "-p", json.dumps(patch)),
    )
    eventually(lambda: hook.trusted == right, why=agent.output)


def test_by_a_service_it_is_known_by_the_services_name(hook: Hook, place: Place) -> None:
    """There are no nodes here, so the service stands for a name outside."""
    name = f"hook-{place.label}"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": SYSTEM},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    place.kube.apply(service)
    reference = {"name": name, "namespace": SYSTEM, "port": hook.port, "path": "/mutate"}
    place.kube.kubectl("delete", "mutatingwebhookconfiguration", "pullpass-agent")
    hook.configure(service=reference)
    hook.agent("--attach", "none")
    alternatives = hook.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [each.value for each in alternatives.value] == [f"{name}.{SYSTEM}.svc"]
    place.kube.kubectl("delete", "service", name, "-n", SYSTEM)


def test_all_replicas_answer_and_one_takes_over(hook: Hook, place: Place) -> None:
    leader = place.agent("--webhook", f"127.0.0.1:{free_port()}", "--attach", "none")
    # Who is asked here is the one that does not lead.
    follower = place.replica("--webhook", f"127.0.0.1:{hook.port}", "--attach", "none")
    waits = "waiting for the lease\n"
    eventually(lambda: follower.page("/health/ready") == waits, why=follower.output)
    hook.wait_until_asked(follower.output)
    certificate = hook.certificate
    namespace = place.namespace("a")
    assert hook.run(namespace, "two") == ["regcred-ghcr"]
    # The credential is asked for by the other one.
    eventually(lambda: place.auths(namespace, "ghcr"), why=leader.output)
    leader.kill()
    count = 0
    while not follower.leads():
        count += 1
        assert hook.run(namespace, f"between-{count}") == ["regcred-ghcr"], follower.output()
    assert hook.run(namespace, "last") == ["regcred-ghcr"]
    assert hook.certificate.serial_number == certificate.serial_number


def test_the_key_is_nowhere_but_in_its_secret(hook: Hook, place: Place) -> None:
    agent = hook.agent("--log-level", "debug")
    namespace = place.namespace("a")
    hook.run(namespace)
    found = place.kube.get("secret", SECRET, SYSTEM)
    assert found is not None
    key = base64.b64decode(found["data"]["tls.key"]).decode()
    canaries = [line for line in key.splitlines() if line and not line.startswith("-----")]
    assert canaries
    arguments = Path(f"/proc/{agent.process.pid}/cmdline").read_text()
    places = {
        "the log": agent.output(),
        "the metrics": agent.page("/metrics"),
        "the arguments": arguments,
        "the configuration": hook.trusted,
        "the events": place.kube.kubectl("get", "events", "-A", "-o", "json"),
    }
    for where, text in places.items():
        for canary in canaries:
            assert canary not in text, where
            assert base64.b64encode(canary.encode()).decode().rstrip("=")[:-4] not in text, where


def test_what_is_no_review_gets_a_plain_word(hook: Hook, place: Place) -> None:
    agent = hook.agent()
    context = ssl.create_default_context(cadata=hook.trusted)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )

    def said(body: bytes | None, path: str = "/mutate") -> tuple[int, str]:
        try:
            opener.open(f"https://127.0.0.1:{hook.port}{path}", body, timeout=30)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["error"]
        raise AssertionError("it was taken")

    status, why = said(b"{")
    assert status == 400
    assert why.startswith("The body is no AdmissionReview: ")
    assert said(b"{}") == (400, "The body is no AdmissionReview of admission.k8s.io/v1.")
    assert said(None)[0] == 405
    assert said(b"{}", "/other") == (404, "The webhook is at /mutate.")
    assert said(b" " * (4 * 1024 * 1024 + 1))[0] == 413
    assert agent.count("pullpass_agent_admissions_total", result="malformed") == 2
    assert agent.leads()
    assert "Traceback" not in agent.output()
