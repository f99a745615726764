"""The kubelet's credential provider plugin, by the kubelet's own published types."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pullpass import __version__
from pullpass.client.sync import Client
from tests.parts.peers import built_peer
from tests.parts.ports import free_port
from tests.parts.server import PullpassServer, pullpass_server
from tests.parts.wire import Scripted, answer, refusal, wire_server
from tests.plugins.helper import TOKEN, basic, environment, run, settings

PROGRAM = "pullpass-credential-provider"
GROUP = "credentialprovider.kubelet.k8s.io"
FOUND = {"id": "ghcr", "registry": "ghcr.io", "type": "basic", "username": "u", "password": "p"}
IDENTITY = "eyJhbGciOiJSUzI1NiJ9.canary.signature"


def request(image: str = "ghcr.io/acme/app", version: str = "v1", **more: object) -> str:
    head = {"apiVersion": f"{GROUP}/{version}", "kind": "CredentialProviderRequest"}
    return json.dumps(head | {"image": image} | more)


def provide(stdin: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(PROGRAM, *arguments, env=env, stdin=stdin)


def provided(stdin: str, *script: Scripted) -> dict[str, Any]:
    """The response, with such answers of a server."""
    with wire_server(*script) as server:
        done = provide(stdin, settings(server.url))
    assert (done.returncode, done.stderr) == (0, "")
    response: dict[str, Any] = json.loads(done.stdout)
    return response


def the_line(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{PROGRAM}: ")
    assert done.stderr.count("\n") == 1
    for secret in (TOKEN, IDENTITY, "canary"):
        assert secret not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data") as server:
        with Client(server.url, "acme", server.admin_token) as client:
            for record_id, registry in (
                ("ghcr", "ghcr.io"),
                ("team", "https://GHCR.io/acme/v2/"),
                ("hub", "index.docker.io"),
                ("port", "registry.example:5000/v2/"),
                ("wild", "*.dkr.ecr.*.amazonaws.com"),
            ):
                client.registries.create(basic(record_id, registry, f"the {record_id} password"))
            client.registries.create(
                {"id": "public", "registry": "public.example", "type": "public"}
            )
        yield server


def env(server: PullpassServer) -> dict[str, str]:
    return settings(server.url, PULLPASS_TOKEN=server.admin_token)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_peer("kubelet", tmp_path_factory.mktemp("peer"))


def decoded(peer: Path, document: str) -> dict[str, Any]:
    """What the kubelet's types hold of a document; they refuse what they do not know."""
    done = subprocess.run(
        [peer, "read"], input=document, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize(
    ("image", "record_id"),
    [
        ("docker.io/library/nginx", "hub"),
        ("ghcr.io/acme/app", "ghcr"),
        ("registry.example:5000/a/b", "port"),
        ("public.example/a", None),
        ("unknown.example/a", None),
    ],
)
def test_the_kubelets_types_take_what_is_answered_to_them(
    pullpass: PullpassServer, peer: Path, version: str, image: str, record_id: str | None
) -> None:
    asked = subprocess.run(
        [peer, "request", version, image], capture_output=True, text=True, check=True
    )
    done = provide(asked.stdout, env(pullpass))
    assert (done.returncode, done.stderr) == (0, "")
    expected: dict[str, Any] = {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Image",
    }
    if record_id is None:
        expected |= {"cacheDuration": "0s"}
    else:
        login = {"username": "robot", "password": f"the {record_id} password"}
        expected |= {"auth": {image: login}}
    assert decoded(peer, done.stdout) == expected


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("ghcr.io/acme/app:1.2", "ghcr.io/acme/app"),
        ("ghcr.io/acme/app:1.2@sha256:" + "0a" * 32, "ghcr.io/acme/app"),
        ("registry:5000/app", "registry:5000/app"),
        ("registry:5000/app:1", "registry:5000/app"),
        # A kubelet drops one /v1 or /v2 of a key, and none of an image.
        ("ghcr.io/v2/app", "ghcr.io/v2/v2/app"),
        ("ghcr.io/v1/app:1", "ghcr.io/v2/v1/app"),
        ("ghcr.io/v2app/app", "ghcr.io/v2app/app"),
    ],
)
def test_the_credential_is_for_this_repository(image: str, key: str) -> None:
    assert list(provided(request(image), answer(FOUND))["auth"]) == [key]


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [(43_200, 3600, 3600), (1200, 840, 900), (310, 0, 10), (200, 0, 0), (-5, 0, 0)],
)
def test_it_is_kept_for_less_than_it_lives(seconds: int, least: int, most: int) -> None:
    moment = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
    expires = moment.isoformat(timespec="milliseconds") + "Z"
    found = provided(request(), answer(FOUND | {"expires": expires}))
    assert found["cacheDuration"].endswith("s")
    assert least <= int(found["cacheDuration"][:-1]) <= most


def test_how_long_one_without_an_end_is_kept_is_the_configurations(peer: Path) -> None:
    assert "cacheDuration" not in provided(request(), answer(FOUND))


def test_unusual_characters_arrive() -> None:
    found = FOUND | {"username": 'a"b\\', "password": "é\u2028😀\n"}
    login = provided(request(), answer(found))["auth"]["ghcr.io/acme/app"]
    assert login == {"username": 'a"b\\', "password": "é\u2028😀\n"}


def test_the_pods_service_account_is_who_asks() -> None:
    exchanged = answer({"access_token": "ppt_exchanged", "token_type": "Bearer", "expires_in": 900})
    with wire_server(exchanged, answer(FOUND)) as server:
        given = environment(PULLPASS_URL=f"{server.url}/base", PULLPASS_ORG="acme & co")
        done = provide(request(serviceAccountToken=IDENTITY), given)
    assert done.returncode == 0, done.stderr
    exchange, asked = server.requests
    assert (exchange.method, exchange.target) == ("POST", "/base/token")
    assert exchange.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in exchange.headers
    assert exchange.body.decode() == (
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        f"&subject_token={IDENTITY}"
        "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
        "&audience=acme%20%26%20co"
    )
    assert asked.target == "/base/orgs/acme%20%26%20co/image-creds?image=ghcr.io%2Facme%2Fapp"
    assert asked.headers["authorization"] == "Bearer ppt_exchanged"
    for secret in (IDENTITY, "ppt_exchanged"):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            answer({"error": "invalid_grant", "error_description": "No rule of 'acme' fits."}, 400),
            "was not exchanged: No rule of 'acme' fits; see the organization's trust rules",
        ),
        (refusal(503, "unavailable", "Starting."), "was not exchanged: Starting;"),
        (Scripted(404, b"<html>"), "answered 404 to a token exchange"),
        (answer({"ok": True}), "answered 200 to a token exchange"),
        (answer({"access_token": "a b\r\nc"}), "answered 200 to a token exchange"),
    ],
)
def test_a_service_account_that_is_not_trusted(script: Scripted, said: str) -> None:
    with wire_server(script) as server:
        # The node's own token is not tried instead: the pod would get what is not its own.
        done = provide(request(serviceAccountToken=IDENTITY), settings(server.url))
        assert len(server.requests) == 1
    assert said in the_line(done)


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        ("", "stdin holds no CredentialProviderRequest in JSON"),
        ("[]", "stdin holds no CredentialProviderRequest"),
        ("{", "stdin holds no CredentialProviderRequest"),
        ("{}", "expected credentialprovider.kubelet.k8s.io/v1 or "),
        (request(version="v1alpha1"), "'credentialprovider.kubelet.k8s.io/v1alpha1'"),
        (request().replace("ProviderRequest", "ProviderResponse"), "CredentialProviderResponse"),
        (request(""), "the request's image is missing"),
        (request(image=["canary"]), "the request's image is missing"),  # type: ignore[arg-type]
        (request(serviceAccountToken=["canary"]), "serviceAccountToken is no text"),
        (json.dumps({"pad": "x" * 1_100_000}), "the request is longer than"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_request(stdin: str, said: str) -> None:
    assert said in the_line(provide(stdin, settings("http://127.0.0.1:1")))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            refusal(401, "unauthenticated", "The token has expired."),
            "expired; check PULLPASS_TOKEN",
        ),
        (refusal(404, "organization_not_found", "No such one."), "No such one; check PULLPASS_ORG"),
        (refusal(400, "invalid_image", "No image.\x1b[2J"), "No image. [2J"),
        (answer({"ok": True}), "the answer is not one of Pullpass; check PULLPASS_URL"),
        (Scripted(500, b""), "the server answered 500, and not as Pullpass does"),
    ],
)
def test_what_the_server_says_is_told(script: Scripted, said: str) -> None:
    with wire_server(script) as server:
        assert said in the_line(provide(request(), settings(server.url)))


def test_no_server_no_name_no_settings() -> None:
    down = the_line(provide(request(), settings(f"http://127.0.0.1:{free_port()}")))
    assert "check PULLPASS_URL and that the server is running" in down
    nameless = the_line(provide(request(), settings("http://pullpass.invalid")))
    assert "check the name in PULLPASS_URL, and this machine's DNS" in nameless
    assert "set PULLPASS_URL, PULLPASS_ORG, PULLPASS_TOKEN" in the_line(
        provide(request(), environment())
    )


def test_options_go_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with wire_server(answer(FOUND)) as server:
        done = provide(
            request(),
            environment(PULLPASS_URL="http://127.0.0.1:1", PULLPASS_TOKEN="ppt_other"),
            *(f"--url={server.url}", "--org", "acme", "--token-file", str(file), "--timeout", "5"),
        )
    assert done.returncode == 0, done.stderr
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--token", "canary"), "there is no option '--token'"), (("--org",), "--org needs a value")],
)
def test_wrong_options(arguments: tuple[str, ...], said: str) -> None:
    assert said in the_line(provide(request(), settings("http://127.0.0.1:1"), *arguments))


def test_help_and_version() -> None:
    assert f"{PROGRAM} (pullpass) {__version__}\n" == provide("", environment(), "--version").stdout
    shown = provide("", environment(), "--help")
    assert shown.returncode == 0
    assert "pullpass kubelet config" in shown.stdout


def configured(pullpass: PullpassServer, *arguments: str) -> str:
    done = pullpass.cli("kubelet", "config", *arguments)
    assert done.returncode == 0, done.stderr
    assert pullpass.admin_token not in done.stdout
    return done.stdout


def test_a_configuration_covers_every_record_with_a_credential(
    pullpass: PullpassServer, peer: Path
) -> None:
    found = decoded(peer, configured(pullpass))
    assert (found["apiVersion"], found["kind"]) == (
        "kubelet.config.k8s.io/v1",
        "CredentialProviderConfig",
    )
    (provider,) = found["providers"]
    assert provider == {
        "name": PROGRAM,
        "apiVersion": f"{GROUP}/v1",
        "matchImages": [
            "*.dkr.ecr.*.amazonaws.com",
            "docker.io",
            "ghcr.io",
            "index.docker.io",
            "registry-1.docker.io",
            "registry.example:5000",
            "registry.hub.docker.com",
        ],
        "defaultCacheDuration": "5m0s",
        "env": [
            {"name": "PULLPASS_URL", "value": pullpass.url},
            {"name": "PULLPASS_ORG", "value": "acme"},
            {"name": "PULLPASS_TOKEN_FILE", "value": "/etc/pullpass/token"},
        ],
    }


def test_a_configuration_for_service_accounts(pullpass: PullpassServer, peer: Path) -> None:
    arguments = ("--service-account-token", "pullpass", "--node-url", "https://p.example")
    (provider,) = decoded(peer, configured(pullpass, *arguments))["providers"]
    assert provider["tokenAttributes"] == {
        "serviceAccountTokenAudience": "pullpass",
        "cacheType": "Token",
        "requireServiceAccount": True,
    }
    assert [each["name"] for each in provider["env"]] == ["PULLPASS_URL", "PULLPASS_ORG"]
    more = (
        "--node-token-file",
        "/run/token",
        "--node-ca-bundle",
        "/etc/ca",
        "--cache-seconds",
        "0",
    )
    (provider,) = decoded(peer, configured(pullpass, *arguments, *more))["providers"]
    assert provider["tokenAttributes"]["requireServiceAccount"] is False
    assert provider["defaultCacheDuration"] == "0s"
    assert {each["name"]: each["value"] for each in provider["env"]} == {
        "PULLPASS_URL": "https://p.example",
        "PULLPASS_ORG": "acme",
        "PULLPASS_TOKEN_FILE": "/run/token",
        "PULLPASS_CA_BUNDLE": "/etc/ca",
    }


def test_no_configuration_without_a_record(tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data") as server:
        done = server.cli("kubelet", "config")
    assert (done.returncode, done.stdout) == (4, "")
    assert "No record has a credential" in done.stderr


def test_a_script_for_the_kubelets_folder(pullpass: PullpassServer, tmp_path: Path) -> None:
    printed = pullpass.cli("kubelet", "plugin")
    assert printed.returncode == 0, printed.stderr
    script = tmp_path / PROGRAM
    script.write_text(printed.stdout)
    script.chmod(0o755)
    done = subprocess.run(
        [script], input=request(), env=env(pullpass), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["auth"]["ghcr.io/acme/app"]["username"] == "robot"
