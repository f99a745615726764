"""``pullpass import``: what becomes a record, what does not, and that it is said."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Done
from tests.parts.kubernetes import TOKEN, Cluster, StoredSecret, cluster
from tests.parts.server import PullpassServer, pullpass_server
from tests.test_secrets_never_leak import assert_absent

PASSWORD = "canary-imported-5e21"
OTHER = "canary-another-77ab"
GUID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[PullpassServer]:
    """A server without records."""
    with pullpass_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def run(command: Command, fresh: PullpassServer) -> Command:
    return as_admin(command, fresh)


@pytest.fixture
def shared(command: Command, pullpass: PullpassServer) -> Command:
    """For what makes no records."""
    return as_admin(command, pullpass)


def as_admin(command: Command, server: PullpassServer) -> Command:
    def execute(*arguments: str, stdin: str = "", token: str = server.admin_token) -> Done:
        done = command(*arguments, stdin=stdin, url=server.url, org="acme", token=token)
        assert_absent(done.out + done.err, "the output", (PASSWORD, OTHER, TOKEN))
        return done

    return execute


def auth(username: str, password: str = PASSWORD) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def jwt(expires: int) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, {"exp": expires})]
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "signature"])


def rows(done: Done) -> dict[str, tuple[str, str | None, str | None]]:
    """By registry: what is done, the id and the type."""
    return {
        row["registry"]: (row["outcome"], row.get("id"), row.get("type"))
        for row in json.loads(done.out)
    }


def write(folder: Path, auths: object, **more: object) -> str:
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": auths, **more}))
    return str(file)


def test_a_config_becomes_records_once(run: Command, fresh: PullpassServer, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {
            "https://index.docker.io/v1/": auth("hub"),
            "ghcr.io/acme": auth("bot"),
            "registry.example.com:5000": {"username": "u", "password": PASSWORD},
            "*.example.com": auth("wild"),
            "a-b.io": auth("one"),
            "a.b.io": auth("two"),
        },
    )
    create = {
        "docker.io": ("create", "docker-io", "basic"),
        "ghcr.io/acme": ("create", "ghcr-io-acme", "basic"),
        "registry.example.com:5000": ("create", "registry-example-com-5000", "basic"),
        "*.example.com": ("create", "example-com", "basic"),
        "a-b.io": ("create", "a-b-io", "basic"),
        "a.b.io": ("create", "a-b-io-8763325a", "basic"),
    }
    tried = run("import", "docker-config", file, "--dry-run", "--output", "json")
    assert (tried.code, rows(tried)) == (0, create)
    assert run("registry", "list", "--output", "json").out.strip() == "[]"
    shown = run("import", "docker-config", file, "--dry-run")
    assert shown.out.splitlines()[0].split() == ["RESULT", "ID", "REGISTRY", "TYPE", "FROM", "WHY"]

    done = run("import", "docker-config", file)
    assert done.code == 0, done.err
    assert "created: ghcr.io/acme as ghcr-io-acme" in done.out.splitlines()
    printed = fresh.cli("creds", "ghcr.io/acme/app", "--output", "json")
    assert json.loads(printed.stdout)["password"] == PASSWORD
    assert '"enable_ci": false' in run("registry", "get", "ghcr-io-acme", "-o", "json").out

    again = run("import", "docker-config", file, "--output", "json")
    assert again.code == 0
    assert rows(again) == {name: ("there", *rest) for name, (_, *rest) in create.items()}


def test_what_is_taken_is_a_conflict_and_stays_as_it_is(
    run: Command, fresh: PullpassServer, tmp_path: Path
) -> None:
    write(tmp_path, {"ghcr.io": auth("bot"), "quay.io": auth("bot")})
    file = str(tmp_path / "config.json")
    for record in (
        ("other", "--registry", "https://GHCR.io/", "--type", "public"),
        ("mine", "--registry", "quay.io", "--type", "basic", "--username", "bot"),
    ):
        secret = ("--password-stdin",) if "basic" in record else ()
        assert run("registry", "create", *record, *secret, stdin=OTHER).code == 0
    done = run("import", "docker-config", file, "--output", "json")
    assert done.code == 5
    assert rows(done) == {
        "ghcr.io": ("conflict", "other", "basic"),
        "quay.io": ("conflict", "mine", "basic"),
    }
    assert json.loads(fresh.cli("registry", "creds", "mine", "-o", "json").stdout)["password"] == (
        OTHER
    )

    # Who may not read a credential cannot compare it, and is told so.
    user = json.loads(run("user", "create", "ed", "--role", "editor", "-o", "json").out)["id"]
    token = run("token", "create", "t", "--user", user).out.strip()
    write(tmp_path, {"quay.io": auth("bot")})
    done = run("import", "docker-config", file, token=token)
    assert (done.code, done.out) == (
        0,
        "there: quay.io as mine (the credentials were not compared)\n",
    )


@pytest.mark.parametrize(
    ("key", "entry", "why"),
    [
        ("ghcr.io", {}, "no credential"),
        ("ghcr.io", {"auth": "!"}, "Base64"),
        ("ghcr.io", {"auth": base64.b64encode(b"no colon").decode()}, "Base64"),
        ("ghcr.io", auth("bot", ""), "empty"),
        ("ghcr.io", {"auth": "", "username": "bot"}, "empty"),
        ("ghcr.io", "text", "no credential"),
        ("ghcr.io", {**auth("bot"), "identitytoken": PASSWORD}, "identity token"),
        ("not a host", auth("bot"), "holds a space"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", auth("AWS"), "amazon_ecr"),
        ("public.ecr.aws", auth("AWS"), "amazon_ecr"),
        ("eu.gcr.io", auth("oauth2accesstoken"), "google_gcr"),
        ("acme.azurecr.io", auth(GUID), "azure_acr"),
        ("registry.gitlab.com", auth("gitlab-ci-token"), "deploy token"),
        ("ghcr.io", auth("x-access-token", f"ghs_{PASSWORD}"), "personal access token"),
        ("ghcr.io", auth("bot", jwt(1_700_000_000)), "ended at 2023-11-14 22:13:20 UTC"),
        ("https://index.docker.io/v1/access-token", auth("bot"), "access token"),
    ],
)
def test_what_makes_no_record_is_skipped_with_the_reason(
    shared: Command, tmp_path: Path, key: str, entry: object, why: str
) -> None:
    done = shared("import", "docker-config", write(tmp_path, {key: entry}), "-o", "json")
    [row] = json.loads(done.out)
    assert (done.code, row["outcome"]) == (0, "skipped")
    assert why in row["why"]


def test_helpers_are_named(shared: Command, tmp_path: Path) -> None:
    file = write(tmp_path, {}, credHelpers={"gcr.io": "gcloud"}, credsStore="desktop")
    done = shared("import", "docker-config", file)
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "skipped: gcr.io (the credential helper 'gcloud' keeps it)",
            "skipped: (any) (the credential helper 'desktop' keeps what is not in the file)",
        ],
    )
    empty = shared("import", "docker-config", write(tmp_path, {}))
    assert empty.err == "There are no credentials.\n"


def test_the_type_and_the_end_are_kept(run: Command, fresh: PullpassServer, tmp_path: Path) -> None:
    end = int(time.time()) + 86400
    auths = {
        "eu.gcr.io": auth("_json_key", "{}"),
        "harbor.example.com": auth("_json_key"),
        "quay.io": auth("bot", jwt(end)),
    }
    done = run("import", "docker-config", write(tmp_path, auths), "-o", "json")
    # The server looks into a service account's key.
    assert done.code == 1
    assert rows(done) == {
        "eu.gcr.io": ("failed", "eu-gcr-io", "google_gcr"),
        "harbor.example.com": ("created", "harbor-example-com", "basic"),
        "quay.io": ("created", "quay-io", "basic"),
    }
    stored = json.loads(fresh.cli("registry", "creds", "quay-io", "-o", "json").stdout)
    assert stored["expires"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(end)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f'{{"auths": {{"ghcr.io": "{PASSWORD}"', "not JSON"),
        (b"\xff\xfe".decode("latin-1"), "not JSON"),
        (f'["{PASSWORD}"]', "a list"),
        (f'"{PASSWORD}"', "a string"),
        ("null", "null"),
        (f'{{"auths": "{PASSWORD}"}}', '"auths" is a string'),
        (f'{{"credentials": "{PASSWORD}"}}', 'no "auths"'),
        ("", "not JSON"),
    ],
)
def test_another_file_is_refused_whole(
    shared: Command, tmp_path: Path, content: str, why: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    for done in (
        shared("import", "docker-config", str(file)),
        shared("import", "docker-config", "-", stdin=content),
    ):
        assert (done.code, done.out) == (1, "")
        assert why in done.err
    assert shared("import", "docker-config", str(tmp_path / "none")).code == 2


def test_the_older_file_without_auths_is_read(run: Command) -> None:
    done = run("import", "docker-config", "-", stdin=json.dumps({"quay.io": auth("bot")}))
    assert done.out == "created: quay.io as quay-io\n"


@pytest.fixture(scope="module")
def k8s(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster") / "certificates") as running:
        yield running


@pytest.fixture
def filled(k8s: Cluster) -> Cluster:
    def config(**auths: dict[str, str]) -> bytes:
        return json.dumps({"auths": {k.replace("_", "."): v for k, v in auths.items()}}).encode()

    k8s.secrets[:] = [
        StoredSecret("web", "one", config(ghcr_io=auth("bot"), quay_io=auth("a"))),
        StoredSecret("web", "two", config(ghcr_io=auth("bot"))),
        StoredSecret("web", "three", config(quay_io=auth("a", OTHER))),
        StoredSecret(
            "web", "old", json.dumps({"old.io": auth("o")}).encode(), "kubernetes.io/dockercfg"
        ),
        StoredSecret("web", "opaque", b"{}", "Opaque"),
        StoredSecret("web", "broken", f'"{PASSWORD}'.encode()),
        StoredSecret("api", "api", config(api_io=auth("a"))),
    ]
    k8s.asked.clear()
    return k8s


def test_the_pull_secrets_of_a_namespace_are_merged(
    run: Command, filled: Cluster, tmp_path: Path
) -> None:
    kubeconfig = str(filled.kubeconfig(tmp_path / "kube", token=TOKEN))
    done = run("import", "kubernetes", "--kubeconfig", kubeconfig, "-o", "json")
    assert done.code == 5
    found = [(row["outcome"], row["registry"], row["source"]) for row in json.loads(done.out)]
    assert found == [
        ("created", "ghcr.io", "web/one, web/two"),
        ("conflict", "quay.io", "web/one"),
        ("conflict", "quay.io", "web/three"),
        ("created", "old.io", "web/old"),
        ("skipped", "-", "web/broken"),
    ]
    # Each type apart, a page at a time.
    assert {path for path, _ in filled.asked} == {"/api/v1/namespaces/web/secrets"}
    selectors = [query["fieldSelector"] for _, query in filled.asked]
    assert selectors.count("type=kubernetes.io/dockerconfigjson") == 2
    assert selectors.count("type=kubernetes.io/dockercfg") == 1
    assert [query.get("continue") for _, query in filled.asked] == [None, "2", None]


def test_all_namespaces_with_a_client_certificate(
    run: Command, filled: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "client-certificate": str(filled.certificates.certificate),
        "client-key": str(filled.certificates.key),
    }
    monkeypatch.setenv("KUBECONFIG", str(filled.kubeconfig(tmp_path / "kube", **files)))
    done = run("import", "kubernetes", "--all-namespaces", "--dry-run")
    assert done.code == 5
    assert "api.io" in done.out
    assert {path for path, _ in filled.asked} == {"/api/v1/secrets"}
    chosen = run("import", "kubernetes", "--namespace", "api", "--dry-run", "-o", "json")
    assert rows(chosen) == {"api.io": ("create", "api-io", "basic")}


def test_a_program_that_the_kubeconfig_names_gives_the_token(
    run: Command, filled: Cluster, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": TOKEN}}
    plugin.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    plugin.chmod(0o700)
    user = {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}
    kubeconfig = str(filled.kubeconfig(tmp_path / "kube", namespace="api", exec=user))
    done = run("import", "kubernetes", "--kubeconfig", kubeconfig)
    assert (done.code, done.out) == (0, "created: api.io as api-io\n")


def test_what_is_wrong_with_the_cluster_is_said(
    shared: Command, filled: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = str(filled.kubeconfig(tmp_path / "kube", token=TOKEN))
    other = tmp_path / "other"
    other.write_text(f"token: {TOKEN}")
    broken = tmp_path / "broken"
    broken.write_text(f"a: [{TOKEN}")
    closed = tmp_path / "closed"
    closed.write_text(Path(good).read_text().replace(filled.url, "https://127.0.0.1:1"))
    untrusted = tmp_path / "untrusted"
    config = json.loads(Path(good).read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    untrusted.write_text(json.dumps(config))
    for arguments, words in (
        (["--kubeconfig", str(tmp_path / "none")], "not found"),
        (["--kubeconfig", str(other)], "is not a kubeconfig"),
        (["--kubeconfig", str(broken)], "is not a kubeconfig"),
        (["--kubeconfig", good, "--context", "lost"], "'lost' not found"),
        (["--kubeconfig", good, "--context", "stranger"], "Unauthorized"),
        (["--kubeconfig", good, "--namespace", "forbidden"], "is forbidden"),
        (["--kubeconfig", str(closed)], "No answer from https://127.0.0.1:1"),
        (["--kubeconfig", str(untrusted)], "certificate verify failed"),
    ):
        done = shared("import", "kubernetes", *arguments)
        assert (done.code, done.out) == (1, ""), arguments
        assert words in done.err
        assert len(done.err.splitlines()) == 1
    monkeypatch.setenv("KUBECONFIG", f"{good}:{other}")
    assert "several files" in shared("import", "kubernetes").err
    assert shared("import", "kubernetes", "-A", "-n", "web").code == 2
