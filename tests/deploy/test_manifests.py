"""The manifests and the chart: taken by an API server, strict, and with arguments that exist."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullpass.cli.agent import agent
from pullpass.cli.main import root
from pullpass.cli.serve import serve
from tests.parts.kube import ROOT, Kube, kube, kube_assets

DEPLOY = ROOT / "deploy"
PLAIN = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
CHART = DEPLOY / "helm" / "pullpass-agent"
VALUES = [
    *("--set", "cluster=eu-1", "--set", "pullpass.organization=acme"),
    *("--set", "pullpass.url=https://pullpass.example.com"),
]
VARIANTS = [
    (),
    ("--set", "mode=all", "--set", "attach=none", "--set", "networkPolicy.enabled=false"),
    ("--set", "pullpass.caConfigMap=authorities", "--set", "namespaceSelector=env in (a\\,b)"),
    ("--set-string", "image.tag=9", "--set", "exclude={a,b-*}", "--set", "podAnnotations.x=y"),
]


def helm() -> str:
    built = sorted(kube_assets().glob("helm-*"))
    found = shutil.which("helm") or (str(built[-1]) if built else None)
    if found is None:
        pytest.skip("helm is not there: make kube-assets")
    return found


def rendered(*arguments: str, fails: bool = False) -> str:
    done = subprocess.run(
        [
            helm(),
            "template",
            "pullpass-agent",
            str(CHART),
            "--kube-version",
            "1.36.0",
            "-n",
            "pullpass-system",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HELM_NO_PLUGINS": "1"},
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    with kube(tmp_path_factory.mktemp("kube")) as found:
        if not found.real:
            pytest.skip("only a real API server knows the kinds: make kube-assets")
        found.kubectl("apply", "-f", str(DEPLOY / "kubernetes" / "namespace.yaml"))
        yield found


def check_pods(found: list[dict[str, Any]]) -> None:
    """That every pod is as strict as the Pod Security Standards know it, and a bit more."""
    for each in found:
        if each["kind"] != "Deployment":
            continue
        spec = each["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"livenessProbe", "readinessProbe", "resources"} <= container.keys()
            command, *arguments = container["args"]
            # What the command does not know, it refuses.
            {"agent": agent, "serve": serve}[command].make_context(command, arguments)
            assert root.get_command(None, command)  # type: ignore[arg-type]
    kinds = [each["kind"] for each in found]
    if "Deployment" in kinds:
        assert "PodDisruptionBudget" in kinds


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_plain_manifests_are_strict(path: Path) -> None:
    check_pods(objects(path.read_text()))


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_plain_manifests_are_taken_by_a_real_api_server(path: Path, cluster: Kube) -> None:
    said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
    assert "Warning" not in said


@pytest.mark.parametrize("values", VARIANTS)
def test_the_chart_is_strict_and_taken(values: tuple[str, ...], cluster: Kube) -> None:
    text = rendered(*VALUES, *values)
    check_pods(objects(text))
    cluster.kubectl(
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "-n",
        "pullpass-system",
        "-f",
        "-",
        stdin=text,
    )


def test_the_chart_gives_the_same_rights_as_the_plain_manifests() -> None:
    def rules(text: str) -> list[object]:
        return [each["rules"] for each in objects(text) if each["kind"] in ("ClusterRole", "Role")]

    plain = (DEPLOY / "kubernetes" / "agent-rbac.yaml").read_text()
    assert rules(rendered(*VALUES)) == rules(plain)
    # With less to do there is less that it may.
    less = rules(rendered(*VALUES, "--set", "mode=all"))
    assert not any("pods" in rule["resources"] for role in less for rule in role)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("cluster=-x", "cluster"),
        ("mode=some", "mode"),
        ("pullpass.url=pullpass.example.com", "url"),
        ("replica=3", "replica"),
        ("graceSeconds=-1", "graceSeconds"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(value: str, field: str) -> None:
    assert field in rendered(*VALUES, "--set", value, fails=True)


def test_the_container_holds_what_the_commands_need() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "USER 65532:65532" in text
    assert "--extra server --extra agent" in text
