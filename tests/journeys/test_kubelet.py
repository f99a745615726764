"""A kubelet that asks as the pod's service account: no token is stored on the node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.parts.api_client import ApiClient
from tests.parts.oidc import IssuerServer
from tests.parts.server import PullpassServer, pullpass_server
from tests.plugins.helper import environment, run

BUILDER = "system:serviceaccount:builds:builder"


def provide(server: PullpassServer, token: str) -> subprocess.CompletedProcess[str]:
    request = {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderRequest",
        "image": "ghcr.io/acme/app",
        "serviceAccountToken": token,
    }
    return run(
        "pullpass-credential-provider",
        env=environment(PULLPASS_URL=server.url, PULLPASS_ORG=server.organization),
        stdin=json.dumps(request),
    )


def test_a_service_account_gets_what_its_rule_allows(tmp_path: Path) -> None:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with (
        pullpass_server(tmp_path / "data", env=env) as server,
        IssuerServer() as cluster,
        ApiClient(server) as admin,
    ):
        admin.create("ghcr", "ghcr.io", "the password")
        rule = {"id": "builds", "issuer": cluster.name, "claims": {"sub": BUILDER}}
        made = admin.call("POST", "trust-rules", json={**rule, "role": "puller"})
        assert made.status_code == 201, made.text
        allowed = provide(server, cluster.token(sub=BUILDER))
        assert (allowed.returncode, allowed.stderr) == (0, "")
        login = json.loads(allowed.stdout)["auth"]["ghcr.io/acme/app"]
        assert login["password"] == "the password"
        other = cluster.token(sub="system:serviceaccount:web:default")
        refused = provide(server, other)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "the service account's token was not exchanged: " in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert other not in refused.stderr
        server.stop()
        for secret in (other, "the password"):
            assert secret not in server.log_text()
