"""The agent's admission webhook with 1,000 records: what an answer takes, and what a pod waits.

    make kube-assets
    python -m bench.webhook [RECORDS]

- An answer over HTTPS on one connection, beside an answer of the same server that looks at nothing
  (of another path): with a patch of two secrets, and for a pod that needs none.
- A pod created through the API server: with the webhook, and with it down, each in turns with pods
  that it is not asked about.
- From "first pod of a new namespace created" to "its secret there", over 100 namespaces, and how
  many of these pods name it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from lightkube import AsyncClient
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Pod, Secret

from pullpass.agent import kube as kubes
from pullpass.client.sync import Client
from tests.parts.agent import CLUSTER, Agent, agent
from tests.parts.kube import ROOT, Kube, kube
from tests.parts.ports import free_port
from tests.parts.server import pullpass_server

ANSWERS, PODS, NAMESPACES = 2000, 300, 100
IMAGES = ["registry-1.example.com/team/app:1", "registry-2.example.com/team/init:1"]


def show(what: str, seconds: list[float]) -> float:
    marks = statistics.quantiles(seconds, n=100)
    print(f"{what}: p50 {marks[49] * 1000:.2f} ms, p99 {marks[98] * 1000:.2f} ms")
    return marks[49]


def review(images: list[str]) -> bytes:
    pod = {
        "metadata": {"generateName": "app-", "namespace": "warm"},
        "spec": {
            "containers": [
                {
                    "name": f"c{number}",
                    "image": image,
                    "env": [{"name": f"NAME_{each}", "value": "x" * 40} for each in range(20)],
                }
                for number, image in enumerate(images)
            ]
        },
    }
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "operation": "CREATE",
        "namespace": "warm",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": pod,
    }
    made = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(made).encode()


def ask(port: int, trusted: str) -> None:
    context = ssl.create_default_context(cadata=trusted)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)

    def one(path: str, body: bytes) -> tuple[float, dict[str, Any]]:
        began = time.perf_counter()
        connection.request("POST", path, body)
        answer = connection.getresponse().read()
        return time.perf_counter() - began, json.loads(answer)

    kinds = {
        "an answer that looks at nothing": ("/", review(IMAGES)),
        "an answer for a pod that needs none": ("/mutate", review(["nginx", "busybox"])),
        "an answer with two secrets": ("/mutate", review(IMAGES)),
    }
    assert "patch" in one(*kinds["an answer with two secrets"])[1]["response"]
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    # In turns, so that the machine's moods meet all of them.
    for _ in range(ANSWERS):
        for kind, (path, body) in kinds.items():
            found[kind].append(one(path, body)[0])
    medians = [show(kind, seconds) for kind, seconds in found.items()]
    print(f"ratio of the last to the first, p50: {medians[2] / medians[0]:.2f}")


async def create_pods(client: AsyncClient, what: str, wanted: int) -> None:
    """Pods that the webhook is asked about, in turns with those of a namespace that it is not."""
    found: dict[str, list[float]] = {"kube-bare": [], "warm": []}
    for number in range(PODS):
        for namespace, seconds in found.items():
            began = time.perf_counter()
            names = await create_pod(client, f"{what}-{number}", namespace)
            seconds.append(time.perf_counter() - began)
            assert len(names) == (wanted if namespace == "warm" else 0), names
    bare = show("a pod created, no webhook", found["kube-bare"])
    with_one = show(f"a pod created, the webhook {what}", found["warm"])
    print(f"added, p50: {(with_one - bare) * 1000:.1f} ms")


async def create_pod(client: AsyncClient, name: str, namespace: str) -> list[str]:
    containers = [Container(name=f"c{at}", image=image) for at, image in enumerate(IMAGES)]
    made = await client.create(
        Pod(metadata=ObjectMeta(name=name, namespace=namespace), spec=PodSpec(containers))
    )
    assert made.spec is not None
    return [each.name or "" for each in made.spec.imagePullSecrets or ()]


async def first_pods(client: AsyncClient) -> None:
    waits, named = [], 0
    for number in range(NAMESPACES):
        name = f"new-{number}"
        made = await client.create(Namespace(metadata=ObjectMeta(name=name)))
        assert made.metadata is not None
        named += len(await create_pod(client, "first", name)) == len(IMAGES)
        began, there = time.perf_counter(), 0
        version = made.metadata.resourceVersion
        async for _, _secret in client.watch(Secret, namespace=name, resource_version=version):
            there += 1
            if there == len(IMAGES):
                break
        waits.append(time.perf_counter() - began)
    show("from a namespace's first pod created to its two secrets there", waits)
    print(f"of {NAMESPACES} first pods, {named} name them")


def configure(cluster: Kube, port: int) -> None:
    text = (ROOT / "deploy/kubernetes/agent-webhook.yaml").read_text()
    found = [each for each in yaml.safe_load_all(text) if each["kind"] != "Service"]
    found[0]["webhooks"][0]["clientConfig"] = {"url": f"https://127.0.0.1:{port}/mutate"}
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(found[0]))


def trusted(cluster: Kube) -> str:
    kind = "mutatingwebhookconfiguration"
    text = cluster.kubectl("get", kind, "pullpass-agent", "-o", "json")
    return base64.b64decode(json.loads(text)["webhooks"][0]["clientConfig"]["caBundle"]).decode()


async def measure(cluster: Kube, port: int, start: Callable[[], Agent]) -> None:
    os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    limit = kubes.RateLimit(100_000, 100_000)
    client = kubes.connect(kubes.configuration(None), limit, lambda verb: None)
    try:
        for name in ("warm", "kube-bare"):
            await client.create(Namespace(metadata=ObjectMeta(name=name)))
        await asyncio.to_thread(configure, cluster, port)
        running = await asyncio.to_thread(start)
        await asyncio.to_thread(running.wait_until_leading)
        await asyncio.to_thread(ask, port, trusted(cluster))
        await create_pods(client, "up", 2)
        await first_pods(client)
        running.kill()
        await create_pods(client, "down", 0)
    finally:
        await client.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with (
        tempfile.TemporaryDirectory(prefix="pullpass-bench-") as temporary,
        pullpass_server(Path(temporary) / "data") as pullpass,
        kube(Path(temporary)) as cluster,
        Client(pullpass.url, pullpass.organization, pullpass.admin_token) as client,
        contextlib.ExitStack() as stack,
    ):
        if not cluster.real:
            sys.exit("This measures a real API server: make kube-assets.")
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/kubernetes/namespace.yaml"))
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/kubernetes/agent-rbac.yaml"))
        for number in range(count):
            creds = {"username": "robot", "password": "bench"}
            client.registries.create(
                {
                    "id": f"record-{number}",
                    "registry": f"registry-{number}.example.com/team",
                    "type": "basic",
                    "creds": creds,  # type: ignore[typeddict-item]
                }
            )
        user = client.users.create("agent", "cluster", cluster=CLUSTER)
        token = client.tokens.create(user.id, "first").token.reveal()
        port = free_port()
        arguments = ("--webhook", f"127.0.0.1:{port}", "--qps", "100000", "--burst", "100000")

        def start() -> Agent:
            return stack.enter_context(agent(Path(temporary), cluster, pullpass, token, *arguments))

        asyncio.run(measure(cluster, port, start))


if __name__ == "__main__":
    main()
