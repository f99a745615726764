"""The cluster agent, run as a user runs it: the installed command beside a cluster."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.parts.kube import Kube
from tests.parts.ports import free_port
from tests.parts.process import Process
from tests.parts.server import PullpassServer, clean_environment, installed

CLUSTER = "prod"


class Agent:
    """One replica. ``token_file`` is read again by the agent where the token is refused."""

    def __init__(
        self,
        folder: Path,
        kube: Kube,
        pullpass: PullpassServer,
        token: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
    ) -> None:
        self.port = free_port()
        self.token_file = folder / f"agent-{self.port}.token"
        self.token_file.write_text(token)
        self.log = folder / f"agent-{self.port}.log"
        self.command = [
            *(installed("pullpass"), "agent", "--cluster", CLUSTER),
            *("--lease-namespace", "pullpass-system", "--listen", f"127.0.0.1:{self.port}"),
            *arguments,
        ]
        self.env = clean_environment(
            {
                "KUBECONFIG": str(kube.agent_kubeconfig),
                "PULLPASS_URL": pullpass.url,
                "PULLPASS_ORG": pullpass.organization,
                "PULLPASS_TOKEN_FILE": str(self.token_file),
                **env,
            }
        )
        self.process = Process(self.command, stdout=self.log, env=self.env)

    def page(self, path: str) -> str:
        """What it serves at ``path``; the empty string where it does not (yet) say 200."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                text: str = response.read().decode()
                return text
        except OSError:
            return ""

    def leads(self) -> bool:
        return self.page("/health/ready") == "leading\n"

    def count(self, name: str, **labels: str) -> float:
        """The sum of a metric over all that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in self.page("/metrics").splitlines()
            if line.startswith(f"{name}{{") and all(each in line for each in wanted)
        )

    def wait_until_leading(self) -> None:
        self.process.wait_until(self.leads)

    def output(self) -> str:
        """All that it has logged."""
        return self.process.output()

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> int:
        return self.process.stop()


@contextmanager
def agent(
    folder: Path,
    kube: Kube,
    pullpass: PullpassServer,
    token: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[Agent]:
    """A replica until the block ends; that it ends well on SIGTERM is part of every test."""
    running = Agent(folder, kube, pullpass, token, arguments, env or {})
    try:
        yield running
    except BaseException:
        running.kill()
        raise
    if running.process.running:
        code = running.stop()
        assert code == 0, (
            f"pullpass agent ended with {code} on SIGTERM:\n{running.process.output()}"
        )
