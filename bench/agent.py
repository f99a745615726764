"""The cluster agent on a real API server: a rotation, new namespaces, and silence.

    make kube-assets
    python -m bench.agent [NAMESPACES]

- A rotation of one record in NAMESPACES namespaces (1,000): how many writes, and how long from the
  acknowledged change to the last secret; beside the time in which the same client, eight at a time,
  writes as many secrets to the same server, with nothing else to do.
- From "namespace created" to "secret there and attached", over 200 namespaces.
- Requests to the API server while nothing changes, for 60 seconds.
"""

from __future__ import annotations

import asyncio
import base64
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from lightkube import AsyncClient
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Secret, ServiceAccount

from pullpass.agent import kube as kubes
from pullpass.client.sync import Client
from tests.parts.agent import CLUSTER, Agent, agent
from tests.parts.kube import ROOT, Kube, kube
from tests.parts.server import PullpassServer, pullpass_server

NEW = 200
QUIET_SECONDS = 60
LABELS = {"test": "bench"}


async def each(items: Iterable[str], work: Callable[[str], Awaitable[Any]]) -> float:
    """Seconds for ``work`` on all, eight at a time, as the agent does."""
    slots = asyncio.Semaphore(8)

    async def one(item: str) -> None:
        async with slots:
            await work(item)

    began = time.perf_counter()
    await asyncio.gather(*(one(item) for item in items))
    return time.perf_counter() - began


async def make_namespace(client: AsyncClient, name: str) -> str | None:
    """The version of its default account."""
    await client.create(Namespace(metadata=ObjectMeta(name=name, labels=LABELS)))
    account = ServiceAccount(metadata=ObjectMeta(name="default", namespace=name))
    made = await client.create(account)
    return made.metadata.resourceVersion if made.metadata else None


async def write_bare(client: AsyncClient, namespace: str) -> None:
    config = base64.b64encode(os.urandom(96)).decode()
    secret = Secret(
        metadata=ObjectMeta(name="bare", namespace=namespace),
        type="Opaque",
        data={"config": base64.b64encode(config.encode()).decode()},
    )
    await client.apply(secret, field_manager="bench")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - what is waited for is in another process
        await asyncio.sleep(0.1)


def writes(running: Agent) -> tuple[float, float]:
    name = "pullpass_agent_writes_total"
    return running.count(name, kind="ApplySecret"), running.count(name, kind="SetPullSecrets")


def rotate(client: Client, password: str) -> None:
    creds = {"username": "robot", "password": password}
    client.registries.update("ghcr", {"creds": creds})  # type: ignore[typeddict-item]


async def measure(
    cluster: Kube, pullpass: PullpassServer, running: Agent, client: AsyncClient, count: int
) -> None:
    names = [f"bench-{number}" for number in range(count)]
    await each(names, lambda name: make_namespace(client, name))

    async def served(number: float) -> bool:
        return await asyncio.to_thread(writes, running) >= (number, float(count))

    await until(lambda: served(count))
    # Twice, for the first write of each is a creation.
    for _ in range(2):
        bare = await each(names, lambda name: write_bare(client, name))
    with Client(pullpass.url, pullpass.organization, pullpass.admin_token) as api:
        rotate(api, "rotated")
        began = time.perf_counter()
        await until(lambda: served(2 * count))
        took = time.perf_counter() - began
    applied, _ = await asyncio.to_thread(writes, running)
    print(
        f"{count} namespaces, one rotation: {applied - count:.0f} writes of secrets in {took:.1f} s"
    )
    print(f"the same client, writing {count} secrets and no more: {bare:.1f} s")
    print(f"ratio: {took / bare:.2f}")

    waits = [await new_namespace(client, f"new-{number}") for number in range(NEW)]
    marks = statistics.quantiles(waits, n=100)
    print(
        f"from namespace created to secret attached, over {NEW}: "
        f"p50 {marks[49] * 1000:.0f} ms, p99 {marks[98] * 1000:.0f} ms"
    )

    counted = "pullpass_agent_api_requests_total"
    verbs = ("GET", "POST", "PATCH", "DELETE", "WATCH", "LEASE")
    before = {verb: await asyncio.to_thread(running.count, counted, verb=verb) for verb in verbs}
    await asyncio.sleep(QUIET_SECONDS)
    after = {verb: await asyncio.to_thread(running.count, counted, verb=verb) for verb in verbs}
    asked = {verb: after[verb] - before[verb] for verb in verbs if after[verb] != before[verb]}
    print(f"requests in {QUIET_SECONDS} s in which nothing changes: {asked or 'none'}")


async def new_namespace(client: AsyncClient, name: str) -> float:
    began = time.perf_counter()
    version = await make_namespace(client, name)
    # From a version: with an old etcd, a watch from now on is refused.
    async for _, account in client.watch(ServiceAccount, namespace=name, resource_version=version):
        if account.imagePullSecrets:
            return time.perf_counter() - began
    raise AssertionError("the watch ended")


async def run(cluster: Kube, pullpass: PullpassServer, running: Agent, count: int) -> None:
    os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    limit = kubes.RateLimit(100_000, 100_000)
    client = kubes.connect(kubes.configuration(None), limit, lambda verb: None)
    try:
        await measure(cluster, pullpass, running, client, count)
    finally:
        await client.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with (
        tempfile.TemporaryDirectory(prefix="pullpass-bench-") as temporary,
        pullpass_server(Path(temporary) / "data") as pullpass,
        kube(Path(temporary)) as cluster,
        Client(pullpass.url, pullpass.organization, pullpass.admin_token) as client,
    ):
        if not cluster.real:
            sys.exit("This measures a real API server: make kube-assets.")
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/kubernetes/namespace.yaml"))
        cluster.kubectl("apply", "-f", str(ROOT / "deploy/kubernetes/agent-rbac.yaml"))
        client.registries.create({"id": "ghcr", "registry": "ghcr.io", "type": "public"})
        creds = {"username": "robot", "password": "first"}
        client.registries.update("ghcr", {"type": "basic", "creds": creds})  # type: ignore[typeddict-item]
        user = client.users.create("agent", "cluster", cluster=CLUSTER)
        token = client.tokens.create(user.id, "first").token.reveal()
        arguments = ("--mode", "all", "--namespace-selector", "test=bench")
        unlimited = ("--qps", "100000", "--burst", "100000")
        with agent(Path(temporary), cluster, pullpass, token, *arguments, *unlimited) as running:
            running.wait_until_leading()
            asyncio.run(run(cluster, pullpass, running, count))
            status = Path(f"/proc/{running.process.pid}/status").read_text()
            (memory,) = (line.split()[1] for line in status.splitlines() if "VmRSS" in line)
            print(f"memory of the agent: {int(memory) / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
