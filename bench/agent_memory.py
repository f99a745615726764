"""The memory of the cluster agent, in a cluster with many namespaces and a pod in each.

    make kube-assets
    python -m bench.agent_memory [NAMESPACES]

- What the agent has before there is anything, after it has served NAMESPACES (10,000) that came one
  after the other, and when it starts anew and lists them all; each with its highest.
- All of their images change once, as deployments do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from lightkube import AsyncClient
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from bench.agent import ECR, each, make_namespace, stage, until, with_client
from tests.parts.agent import Agent


def show(running: Agent, when: str) -> None:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    now, highest = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    print(f"{when}: {now:.0f} MiB, at most {highest:.0f} MiB")


async def make_pod(client: AsyncClient, namespace: str) -> None:
    image = f"{ECR}/apps/{namespace}:1"
    spec = PodSpec(containers=[Container(name="app", image=image)])
    await client.create(Pod(metadata=ObjectMeta(name="app", namespace=namespace), spec=spec))


async def change_image(client: AsyncClient, namespace: str) -> None:
    patch = {"spec": {"containers": [{"name": "app", "image": f"{ECR}/apps/{namespace}:2"}]}}
    await client.patch(Pod, "app", patch, namespace=namespace)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    names = [f"bench-{number}" for number in range(count)]

    def right(running: Agent) -> Callable[[], Awaitable[bool]]:
        """Whether it finds that every namespace has its secret."""

        async def found() -> bool:
            shown = await asyncio.to_thread(running.count, "pullpass_agent_secrets", state="right")
            return shown >= count

        return found

    with stage() as found:
        with found.agent() as running:
            running.wait_until_leading()
            show(running, "with nothing to do")

            async def work(client: AsyncClient) -> None:
                async def fill(name: str) -> None:
                    await make_namespace(client, name)
                    await make_pod(client, name)

                await each(names, fill)

                await until(right(running))
                show(running, f"{count} namespaces, one after the other")
                await each(names, lambda name: change_image(client, name))
                show(running, "and every image changed once")

            asyncio.run(with_client(found.cluster, work))
        with found.agent() as running:
            running.wait_until_leading()
            asyncio.run(until(right(running)))
            show(running, f"started anew with {count} namespaces")


if __name__ == "__main__":
    main()
