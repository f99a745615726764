"""`--once`, `--dry-run`, and what is said of settings that cannot be used."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.agent.conftest import PASSWORD, Place, eventually
from tests.parts.agent import CLUSTER
from tests.parts.oidc import IssuerServer
from tests.parts.server import clean_environment, installed


def run(place: Place, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {
        "KUBECONFIG": str(place.kube.agent_kubeconfig),
        "PULLPASS_URL": place.pullpass.url,
        "PULLPASS_ORG": place.pullpass.organization,
        "PULLPASS_TOKEN": place.pullpass.admin_token,
        **settings,
    }
    return subprocess.run(
        [
            *(installed("pullpass"), "agent", "--cluster", CLUSTER),
            *("--namespace-selector", f"test={place.label}", *arguments),
        ],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


def test_once_does_all_and_a_dry_run_says_all(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    planned = run(place, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    lines = planned.stdout.splitlines()
    assert f"create secret {namespace}/regcred-ghcr" in lines
    assert f"set imagePullSecrets of {namespace}/default: regcred-ghcr" in lines
    assert place.secret(namespace, "ghcr") is None
    assert place.client.clusters.list() == ()

    done = run(place, "--once")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert place.auths(namespace, "ghcr") == {"ghcr.io": f"robot:{PASSWORD}"}
    assert place.pull_secrets(namespace) == ["regcred-ghcr"]
    reported = place.client.clusters.get(CLUSTER)
    assert reported.secrets == 1
    assert [each.held_in for each in reported.registries] == [(namespace,)]

    again = run(place, "--dry-run")
    assert (again.returncode, again.stdout) == (0, ""), again.stderr


def test_once_says_by_its_exit_code_that_something_failed(place: Place) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    place.kube.create_secret(namespace, "regcred-ghcr", key="theirs")
    done = run(place, "--once")
    assert done.returncode == 1
    assert "secret_taken" in done.stderr
    eventually(lambda: "PullSecretSecretTaken" in place.reasons(namespace))


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "said"),
    [
        ({"KUBECONFIG": "/nowhere"}, (), 2, "/nowhere not found"),
        ({}, ("--namespace-selector", "a in b"), 2, "no label selector"),
        ({}, ("--context", "other"), 2, "'other' not found"),
        ({"PULLPASS_TOKEN": ""}, (), 2, "No token"),
        ({"PULLPASS_TOKEN": "nonsense"}, (), 3, "malformed"),
        ({"PULLPASS_URL": "http://127.0.0.1:1"}, (), 7, "127.0.0.1:1"),
        ({}, ("--listen", "8080"), 2, "HOST:PORT"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    place: Place, settings: dict[str, str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run(place, "--once", *arguments, **settings)
    assert done.returncode == code, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_its_service_account_is_identity_enough(place: Place, tmp_path: Path) -> None:
    place.basic("ghcr", "ghcr.io")
    namespace = place.namespace("a")
    place.pod(namespace, "ghcr.io/app")
    account = "system:serviceaccount:pullpass-system:pullpass-agent"
    with IssuerServer() as issuer:
        place.client.trust_rules.create(
            {
                "id": "agent",
                "issuer": issuer.name,
                "claims": {"sub": account},
                "role": "cluster",
                "cluster": CLUSTER,
            }
        )
        identity = tmp_path / "identity"
        token = issuer.token(sub=account)
        identity.write_text(token)
        done = run(place, "--once", "--identity-token-file", str(identity), PULLPASS_TOKEN="")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert place.auths(namespace, "ghcr") == {"ghcr.io": f"robot:{PASSWORD}"}

        identity.write_text(other := issuer.token(sub="system:serviceaccount:web:default"))
        refused = run(place, "--once", "--identity-token-file", str(identity), PULLPASS_TOKEN="")
        assert refused.returncode == 1
        assert token not in refused.stderr + done.stderr
        assert other not in refused.stderr
    place.client.trust_rules.delete("agent")
