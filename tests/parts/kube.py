"""A Kubernetes API server for the tests of the cluster agent, and its people with kubectl.

The real kube-apiserver with Debian's etcd where both are there (`make kube-assets`), found as
envtest finds them: TEST_ASSET_KUBE_APISERVER, TEST_ASSET_ETCD, KUBEBUILDER_ASSETS
(https://book.kubebuilder.io/reference/envtest). Else the stand-in of ``kube_stand_in``.

There are no controllers: nobody makes pods of Deployments, or a namespace's default account.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.parts.certificates import make_certificates
from tests.parts.kube_stand_in import StandIn
from tests.parts.ports import free_port
from tests.parts.process import Process
from tests.parts.tools import require_tool

ROOT = Path(__file__).parents[2]
ADMIN_TOKEN = "canary-kube-admin-1f0c"
AGENT_TOKEN = "canary-kube-agent-77ab"
AGENT = "system:serviceaccount:pullpass-system:pullpass-agent"


class ApiServer(Protocol):
    """What both kinds have."""

    url: str
    authority: Path | None

    def stop(self) -> None: ...
    def restart(self) -> None: ...


def kube_assets() -> Path:
    """Where `make kube-assets` puts what it builds."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "pullpass" / "kube-assets"


def kube_apiserver() -> Path | None:
    done = subprocess.run(
        [ROOT / "scripts" / "kube-assets.sh", "--find"], capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def etcd() -> Path | None:
    named = os.environ.get("TEST_ASSET_ETCD")
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    candidates = [named, assets and f"{assets}/etcd", shutil.which("etcd")]
    return next((Path(each) for each in candidates if each and Path(each).is_file()), None)


class RealApiServer:
    """kube-apiserver and its etcd, on loopback ports, with RBAC."""

    def __init__(self, folder: Path, apiserver: Path, store: Path) -> None:
        self._folder = folder
        certificates = make_certificates(folder / "certificates")
        self.authority: Path | None = certificates.authority
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd = Process(
            [
                *(str(store), "--data-dir", str(folder / "etcd")),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
            ],
            stdout=folder / "etcd.log",
        )
        tokens = folder / "tokens.csv"
        tokens.write_text(
            f'{ADMIN_TOKEN},admin,admin,"system:masters"\n'
            f'{AGENT_TOKEN},{AGENT},agent,"system:serviceaccounts"\n'
        )
        self._command = [
            *(str(apiserver), "--etcd-servers", client),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self._port)),
            *("--tls-cert-file", str(certificates.certificate)),
            *("--tls-private-key-file", str(certificates.key)),
            *("--token-auth-file", str(tokens), "--authorization-mode", "RBAC"),
            *("--service-account-issuer", self.url, "--api-audiences", "kubernetes"),
            *("--service-account-key-file", str(certificates.certificate)),
            *("--service-account-signing-key-file", str(certificates.key)),
            *("--service-cluster-ip-range", "10.0.0.0/24", "--allow-privileged"),
            *("--cert-dir", str(folder / "generated")),
            # It wants every pod's account to be there, which a controller would make.
            *("--disable-admission-plugins", "ServiceAccount"),
            # The tests ask for much at once, and measure the agent's limits, not the server's.
            *("--enable-priority-and-fairness=false", "--profiling=false"),
        ]
        try:
            self._start()
        except BaseException:
            self._etcd.kill()
            raise

    def _start(self) -> None:
        self._process = Process(self._command, stdout=self._folder / "kube-apiserver.log")
        self._process.wait_until(lambda: self._is_ready(), seconds=120)

    def _is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.authority))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"{self.url}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def restart(self) -> None:
        self._process.kill()
        self._start()

    def stop(self) -> None:
        self._process.kill()
        self._etcd.kill()


@dataclass
class Kube:
    """A cluster and what its administrators do to it, by kubectl."""

    server: ApiServer
    real: bool
    folder: Path
    kubeconfig: Path = field(init=False)
    agent_kubeconfig: Path = field(init=False)

    def __post_init__(self) -> None:
        self.kubeconfig = self._kubeconfig("admin", ADMIN_TOKEN)
        self.agent_kubeconfig = self._kubeconfig("agent", AGENT_TOKEN)
        self._kubectl = require_tool("kubectl", "https://kubernetes.io/docs/tasks/tools/")

    def kubectl(self, *arguments: str, stdin: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            [self._kubectl, *arguments],
            input=stdin,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + (done.stderr if fails else "")

    def apply(self, *objects: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl(
            "apply", "--server-side", "--validate=false", "-f", "-", stdin=json.dumps(items)
        )

    def create_secret(self, namespace: str, name: str, **data: str) -> None:
        """One of the type `Opaque`, as somebody makes it who knows nothing of the agent."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": data,
        }
        self.kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(secret))

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        text = self.kubectl(
            *("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found"),
            "--show-managed-fields",
        )
        found: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return found

    def names(self, kind: str, namespace: str) -> list[str]:
        text = self.kubectl("get", kind, "-n", namespace, "-o", "name")
        return sorted(line.partition("/")[2] for line in text.split())

    def _kubeconfig(self, name: str, token: str) -> Path:
        cluster: dict[str, str] = {"server": self.server.url}
        if self.server.authority is not None:
            cluster["certificate-authority"] = str(self.server.authority)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [
                {
                    "name": "test",
                    "context": {"cluster": "test", "user": name, "namespace": "default"},
                }
            ],
            "current-context": "test",
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(json.dumps(content))  # JSON is YAML
        return path


@contextmanager
def kube(folder: Path) -> Iterator[Kube]:
    """A cluster until the block ends; says on stderr which of the two kinds it is."""
    apiserver, store = kube_apiserver(), etcd()
    server: ApiServer
    if apiserver is not None and store is not None:
        sys.stderr.write(f"\nThe cluster agent is tested with {apiserver}\n")
        server = RealApiServer(folder, apiserver, store)
    else:
        sys.stderr.write("\nThe cluster agent is tested with a stand-in of the API server\n")
        server = StandIn()
    try:
        yield Kube(server, not isinstance(server, StandIn), folder)
    finally:
        server.stop()
