"""The cluster agent on a real API server: a rotation, new namespaces, and silence.

    make kube-assets
    python -m bench.agent [NAMESPACES]

- A rotation of one ECR record in NAMESPACES namespaces (1,000): how many writes by the API server's
  own count, and how long from the acknowledged change to the last secret; beside the time in which
  the same client, eight at a time, writes as many secrets to the same server, with nothing else to
  do.
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
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightkube import AsyncClient
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Secret, ServiceAccount

from pullpass.agent import kube as kubes
from pullpass.client.models import CredsFields
from pullpass.client.sync import Client
from tests.parts.agent import CLUSTER, Agent, agent
from tests.parts.aws import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Aws, moto_server
from tests.parts.kube import ROOT, Kube, kube
from tests.parts.server import PullpassServer, pullpass_server

NEW = 200
QUIET_SECONDS = 60
LABELS = {"test": "bench"}
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY: CredsFields = {"username": ACCESS_KEY_ID, "password": SECRET_ACCESS_KEY}


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


def served(cluster: Kube) -> tuple[int, int]:
    """How many secrets were applied and accounts patched, by the API server's own count."""
    lines = cluster.kubectl("get", "--raw", "/metrics").splitlines()

    def count(*labels: str) -> int:
        return sum(
            int(float(line.rpartition(" ")[2]))
            for line in lines
            if line.startswith("apiserver_request_total{") and all(each in line for each in labels)
        )

    return (
        count('resource="secrets"', 'verb="APPLY"'),
        count('resource="serviceaccounts"', 'verb="PATCH"'),
    )


async def measure(
    cluster: Kube, api: Client, running: Agent, client: AsyncClient, count: int
) -> None:
    names = [f"bench-{number}" for number in range(count)]
    await each(names, lambda name: make_namespace(client, name))

    async def written(number: float) -> bool:
        return await asyncio.to_thread(writes, running) >= (number, float(count))

    await until(lambda: written(count))
    # Twice, for the first write of each is a creation.
    for _ in range(2):
        bare = await each(names, lambda name: write_bare(client, name))
    before = served(cluster)
    api.registries.update("ecr", {"creds": KEY})
    began = time.perf_counter()
    await until(lambda: written(2 * count))
    took = time.perf_counter() - began
    after = served(cluster)
    print(
        f"{count} namespaces, one rotation: {after[0] - before[0]} writes of secrets, "
        f"{after[1] - before[1]} of accounts, in {took:.1f} s"
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
    before = served(cluster)
    asked = {verb: await asyncio.to_thread(running.count, counted, verb=verb) for verb in verbs}
    await asyncio.sleep(QUIET_SECONDS)
    for verb in verbs:
        asked[verb] = await asyncio.to_thread(running.count, counted, verb=verb) - asked[verb]
    rates = [f"{verb} {number / QUIET_SECONDS:.2f}" for verb, number in asked.items() if number]
    print(f"requests per second while nothing changes: {', '.join(rates) or 'none'}")
    print(f"writes while nothing changes: {sum(served(cluster)) - sum(before)}")


async def new_namespace(client: AsyncClient, name: str) -> float:
    began = time.perf_counter()
    version = await make_namespace(client, name)
    # From a version: with an old etcd, a watch from now on is refused.
    async for _, account in client.watch(ServiceAccount, namespace=name, resource_version=version):
        if account.imagePullSecrets:
            return time.perf_counter() - began
    raise AssertionError("the watch ended")


async def with_client(cluster: Kube, work: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Do ``work`` as the cluster's administrator."""
    os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    limit = kubes.RateLimit(100_000, 100_000)
    client = kubes.connect(kubes.configuration(None), limit, lambda verb: None)
    try:
        await work(client)
    finally:
        await client.close()


@dataclass
class Stage:
    """A real cluster, and a Pullpass with one ECR record, `ecr`."""

    folder: Path
    cluster: Kube
    pullpass: PullpassServer
    api: Client
    token: str

    def agent(self, *arguments: str) -> AbstractContextManager[Agent]:
        unlimited = ("--qps", "100000", "--burst", "100000", "--namespace-selector", "test=bench")
        return agent(self.folder, self.cluster, self.pullpass, self.token, *unlimited, *arguments)


@contextmanager
def stage() -> Iterator[Stage]:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pullpass-bench-")))
        pullpass = stack.enter_context(pullpass_server(folder / "data", env=env))
        cluster = stack.enter_context(kube(folder))
        if not cluster.real:
            sys.exit("This measures a real API server: make kube-assets.")
        for name in ("namespace", "agent-rbac"):
            cluster.kubectl("apply", "-f", str(ROOT / f"deploy/kubernetes/{name}.yaml"))
        aws = stack.enter_context(Aws(stack.enter_context(moto_server(folder))))
        api = stack.enter_context(Client(pullpass.url, pullpass.organization, pullpass.admin_token))
        api.registries.create(
            {
                "id": "ecr",
                "registry": ECR,
                "type": "amazon_ecr",
                "creds": KEY,
                "options": {"endpoint": aws.url},
            }
        )
        user = api.users.create("agent", "cluster", cluster=CLUSTER)
        token = api.tokens.create(user.id, "first").token.reveal()
        yield Stage(folder, cluster, pullpass, api, token)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with stage() as found, found.agent("--mode", "all") as running:
        running.wait_until_leading()

        async def work(client: AsyncClient) -> None:
            await measure(found.cluster, found.api, running, client, count)

        asyncio.run(with_client(found.cluster, work))


if __name__ == "__main__":
    main()
