"""The manifests and the chart: taken by an API server, strict, and with arguments that exist."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pullpass.api.routes import OPERATIONS, PAGES
from pullpass.cli.agent import agent
from pullpass.cli.main import root
from pullpass.cli.serve import serve
from tests.parts.kube import ROOT, Kube, kube, kube_assets

DEPLOY = ROOT / "deploy"
PLAIN = sorted((DEPLOY / "kubernetes").glob("*.yaml"))

# A chart, and the values that it cannot do without.
AGENT = (
    "pullpass-agent",
    *("--set", "cluster=eu-1", "--set", "pullpass.organization=acme"),
    *("--set", "pullpass.url=https://pullpass.example.com"),
)
SERVER = ("pullpass",)
VARIANTS = [
    AGENT,
    (*AGENT, "--set", "webhook.enabled=false"),
    (*AGENT, "--set", "webhook.port=9443", "--set", "exclude={kube-*,a?,[x-z]*}"),
    (*AGENT, "--set", "mode=all", "--set", "attach=none", "--set", "networkPolicy.enabled=false"),
    (
        *(*AGENT, "--set", "pullpass.caConfigMap=authorities"),
        *("--set", "namespaceSelector=env in (a\\,b)"),
    ),
    (
        *(*AGENT, "--set-string", "image.tag=9", "--set", "exclude={a,b-*}"),
        *("--set", "podAnnotations.x=y"),
    ),
    SERVER,
    (
        *(*SERVER, "--set", "database.secret=pullpass-server", "--set", "database.caSecret=ca"),
        *("--set", "config.configMap=conf,config.secret=passwords", "--set", "tls.secret=tls"),
        *("--set", "ambientIdentity=true", "--set", "allowNetworks={10.0.0.0/8,fd00::/8}"),
        *("--set-json", 'extraEnv=[{"name": "AWS_REGION", "value": "eu-central-1"}]'),
    ),
    (
        *(*SERVER, "--set", "database.secret=pullpass-server,serviceAccount.mountToken=true"),
        *("--set", "masterKeyUri=hcvault://vault.example.com/transit/keys/pullpass"),
    ),
    (
        *(
            *SERVER,
            "--set",
            "persistence.storageClass=fast",
            "--set-json",
            'networkPolicy.from=[{"podSelector": {}}]',
        ),
        *("--set", "ingress.enabled=true,ingress.host=pullpass.example.com"),
        *("--set", "ingress.tlsSecret=tls,ingress.className=nginx"),
    ),
    (*SERVER, "--set", "persistence.existingClaim=mine", "--set", "networkPolicy.enabled=false"),
]


def helm() -> str:
    built = sorted(kube_assets().glob("helm-*"))
    found = shutil.which("helm") or (str(built[-1]) if built else None)
    if found is None:
        pytest.skip("helm is not there: make kube-assets")
    return found


def rendered(chart: str, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(
        [
            helm(),
            *("template", chart, str(DEPLOY / "helm" / chart), "-n", "pullpass-system"),
            *("--kube-version", "1.36.0", *arguments),
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
    text = rendered(*values)
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
    # What belongs to no namespace has the release's in its name.
    named = plain.replace("resourceNames: [", "resourceNames: [pullpass-system-")
    assert rules(rendered(*AGENT)) == rules(named)
    without = rules(rendered(*AGENT, "--set", "webhook.enabled=false"))
    assert "mutatingwebhookconfigurations" not in str(without)
    # With less to do there is less that it may.
    less = rules(rendered(*AGENT, "--set", "mode=all"))
    assert not any("pods" in rule["resources"] for role in less for rule in role)  # type: ignore[attr-defined]


def test_the_chart_has_the_same_policy_as_the_plain_manifests() -> None:
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")

    def rules(text: str) -> list[object]:
        return [each["spec"] for each in objects(text) if each["kind"] in kinds]

    plain = (DEPLOY / "kubernetes" / "agent-policy.yaml").read_text()
    bound = plain.replace("policyName: pullpass", "policyName: pullpass-system-pullpass")
    assert rules(rendered(*AGENT)) == rules(bound)
    assert not rules(rendered(*AGENT, "--set", "admissionPolicy.enabled=false"))


@pytest.mark.parametrize(
    ("chart", "value", "field"),
    [
        (AGENT, "cluster=-x", "cluster"),
        (AGENT, "mode=some", "mode"),
        (AGENT, "pullpass.url=pullpass.example.com", "url"),
        (AGENT, "replica=3", "replica"),
        (AGENT, "graceSeconds=-1", "graceSeconds"),
        (AGENT, "webhook.timeoutSeconds=0", "timeoutSeconds"),
        (AGENT, "webhook.port=8081", "port"),
        (SERVER, "replica=3", "replica"),
        (SERVER, "ingress.enabled=true", "host"),
        (SERVER, "allowNetworks={intranet}", "allowNetworks"),
        (SERVER, "database.url=postgresql://", "url"),
        (SERVER, "persistence.size=much", "size"),
        (SERVER, "masterKeyUri=https://vault.example.com", "masterKeyUri"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(
    chart: tuple[str, ...], value: str, field: str
) -> None:
    assert field in rendered(*chart, "--set", value, fails=True)


def test_the_server_keeps_its_data_in_a_database_or_on_a_volume() -> None:
    on_volume = {each["kind"]: each for each in objects(rendered(*SERVER))}
    assert on_volume["Deployment"]["spec"]["replicas"] == 1
    assert on_volume["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    # Uninstalling the release is not to take the credentials along.
    claim = on_volume["PersistentVolumeClaim"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"

    in_database = {
        each["kind"]: each
        for each in objects(rendered(*SERVER, "--set", "database.secret=pullpass-server"))
    }
    assert in_database["Deployment"]["spec"]["replicas"] == 2
    assert "PersistentVolumeClaim" not in in_database
    assert "PULLPASS_MASTER_KEY_FILE" in json.dumps(in_database["Deployment"])


def test_a_wrapped_master_key_needs_no_file() -> None:
    uri = "hcvault://vault.example.com/transit/keys/pullpass"
    text = rendered(
        *SERVER, "--set", "database.secret=pullpass-server", "--set", f"masterKeyUri={uri}"
    )
    assert f'value: "{uri}"' in text
    assert "PULLPASS_MASTER_KEY_FILE" not in text
    assert "master-key" not in text


def test_the_ingress_lets_everything_in_but_the_metrics() -> None:
    settings = ("--set", "ingress.enabled=true,ingress.host=pullpass.example.com")
    (ingress,) = (
        each for each in objects(rendered(*SERVER, *settings)) if each["kind"] == "Ingress"
    )
    let_in = {each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]}
    served = {"/ui"} | {"/" + each.path.split("/")[1] for each in (*OPERATIONS, *PAGES)}
    assert let_in >= served - {"/metrics"}
    assert "/metrics" in served - let_in


def test_the_chart_leads_to_the_webhook_as_the_plain_manifests_do() -> None:
    def webhooks(text: str) -> list[dict[str, Any]]:
        kind = "MutatingWebhookConfiguration"
        found = (each["webhooks"] for each in objects(text) if each["kind"] == kind)
        return [webhook for webhooks in found for webhook in webhooks]

    plain = (DEPLOY / "kubernetes" / "agent-webhook.yaml").read_text()
    found = webhooks(rendered(*AGENT))
    assert found == webhooks(plain)
    assert found[0]["failurePolicy"] == "Ignore"
    assert webhooks(rendered(*AGENT, "--set", "webhook.enabled=false")) == []


def test_the_container_holds_what_the_commands_need() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "USER 65532:65532" in text
    assert "--extra server --extra agent" in text
