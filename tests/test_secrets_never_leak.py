"""Canaries: secrets go in by every way there is, and come out only where one is asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.oidc import IssuerServer, new_key
from tests.parts.server import PullpassServer, installed, pullpass_server

STORED = "canary-stored-4f1c"
ROTATED = "canary-rotated-9a2e"
REFUSED = "canary-refused-c07b"
BUILTIN = "canary-builtin-d5d5"
ALL = (STORED, ROTATED, REFUSED, BUILTIN)

CONFIG = """
[[registries]]
id = "company"
registry = "registry.example.com"
type = "basic"
creds = { username = "all", password_file = "company.txt" }
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PullpassServer]:
    (tmp_path / "pullpass.toml").write_text(CONFIG)
    (tmp_path / "company.txt").write_text(BUILTIN)
    arguments = ["--config", str(tmp_path / "pullpass.toml"), "--log-level", "debug"]
    with pullpass_server(tmp_path / "data", arguments=arguments) as running:
        yield running


def forms(secret: str) -> Iterator[bytes]:
    """The secret as it is, and as other encodings would have it."""
    yield secret.encode()
    yield secret.encode().hex().encode()
    # Base64 of the middle is part of the Base64 of any text around it, at one of three offsets.
    for offset in range(3):
        yield base64.b64encode(b"\0" * offset + secret.encode())[4:-4]


def assert_absent(text: str | bytes, where: str, secrets: tuple[str, ...] = ALL) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    for secret in secrets:
        for form in forms(secret):
            assert form not in content, f"{secret} is in {where}"


def basic(password: str) -> dict[str, str]:
    return {"username": "bot", "password": password}


def test_no_secret_comes_out_where_none_is_asked_for(
    server: PullpassServer, tmp_path: Path
) -> None:
    asked_for = use_the_command_line(server)
    use_the_api(server)
    sessions = use_the_web_page(server)

    for secret in (STORED, ROTATED, BUILTIN):
        assert any(secret in text for text in asked_for), "a read that was asked for has it"
    assert_absent(httpx.get(f"{server.url}/metrics").text, "metrics")
    for task in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert_absent(task.read_bytes(), f"process arguments {task}")
        except OSError:
            continue
    tokens = (*ALL, server.admin_token, *sessions)
    for path in sorted((tmp_path / "data").iterdir()):
        assert_absent(path.read_bytes(), path.name, tokens)
    server.stop()
    assert_absent(server.log_text(), "the log", tokens)
    assert '"operation": "postOrgsOrgIdRegistries"' in server.log_text()
    for path in sorted((tmp_path / "data").iterdir()):
        assert_absent(path.read_bytes(), f"{path.name} after the end", tokens)


def use_the_command_line(server: PullpassServer) -> list[str]:
    """Every command with a secret in reach; returns what those that ask for one print."""

    def run(*arguments: str, stdin: str = "", code: int = 0) -> None:
        done = server.cli(*arguments, stdin=stdin)
        assert done.returncode == code, done.stderr
        assert_absent(done.stdout + done.stderr, " ".join(arguments))

    create = ("registry", "create", "ghcr", "--registry", "ghcr.io", "--type", "basic")
    with_password = ("--username", "bot", "--password-stdin")
    run(*create, *with_password, stdin=STORED)
    run(*create, *with_password, stdin=STORED, code=5)
    run("registry", "update", "ghcr", *with_password, "--output", "json", stdin=ROTATED)
    run("registry", "update", "ghcr", "--type", "amazon_ecr", code=1)
    run("registry", "update", "ghcr", "--type", "google_gcr", *with_password, stdin=REFUSED, code=1)
    run("registry", "create", "-f", "-", stdin=json.dumps({"id": "?", "creds": REFUSED}), code=1)
    run("registry", "create", "-f", "-", stdin=f'{{"creds": "{REFUSED}"', code=2)
    run("registry", "list")
    run("registry", "list", "--output", "json")
    run("registry", "get", "ghcr")
    run("registry", "get", "company", "--output", "json")
    run("match", "ghcr.io/a/b", "registry.example.com/a")
    run("whoami")
    run("token", "list")

    stored = (*("registry", "create", "quay"), *("--registry", "quay.io", "--type", "basic"))
    run(*stored, *with_password, stdin=STORED)
    helper = subprocess.run(
        [installed("docker-credential-pullpass"), "get"],
        input="ghcr.io",
        env=server.client_env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert_absent(helper.stderr, "the credential helper's stderr")
    run("kubelet", "config")
    asked = [
        server.cli("creds", "ghcr.io/a/b"),
        server.cli("creds", "quay.io/a/b", "--output", "json"),
        server.cli("registry", "creds", "company"),
    ]
    run("docker-config", "ghcr.io/a/b", "Bad Image", code=1)
    run("docker-config", "ghcr.io/a/b", "--file", str(server.data_dir.parent / "config.json"))
    for done in asked:
        assert done.returncode == 0
        assert_absent(done.stderr, "stderr")
    for arguments in ((), ("--secret", "pull")):
        config = server.cli("docker-config", "ghcr.io/a/b", *arguments)
        assert config.returncode == 0
        assert_absent(config.stderr, "stderr")
        with pytest.raises(AssertionError):
            assert_absent(unwrapped(config.stdout), "a Docker config, which was asked for")
    run("audit", "list", "--output", "json")
    run("audit", "export")
    return [helper.stdout, *(done.stdout for done in asked)]


def unwrapped(config: str) -> bytes:
    """What is in a printed config, or in the config in a printed Kubernetes secret."""
    data = json.loads(config).get("data")
    return base64.b64decode(data[".dockerconfigjson"]) if data else config.encode()


def use_the_api(server: PullpassServer) -> None:
    """Secrets where they do not belong: no answer repeats them."""
    base = f"{server.url}/orgs/acme"
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    record = {"id": "new", "registry": "new.io", "type": "basic", "creds": basic(REFUSED)}
    bodies: list[object] = [
        {**record, "type": "public"},
        {**record, "type": "secret_ref"},
        {**record, "type": "amazon_ecr"},
        {**record, "type": "google_gcr"},
        {**record, "type": "google_gcr", "creds": {**basic(REFUSED), "username": "_json_key"}},
        {**record, "creds": {**basic(REFUSED), "expires": "never"}},
        {**record, "creds": {**basic(REFUSED), "password": [REFUSED]}},
        {**record, "creds": [REFUSED]},
        {**record, "creds": REFUSED},
        {**record, "creds": {**basic(REFUSED), "extra": REFUSED}},
        {**record, "registry": f"https://bot:{REFUSED}@new.io"},
        {**record, "registry": f"bot:{REFUSED}@new.io"},
    ]
    with httpx.Client(headers=headers) as http:
        for body in bodies:
            answer = http.post(f"{base}/registries", json=body)
            assert answer.status_code == 400, answer.text
            assert_absent(answer.text, f"the answer to {body}")
            answer = http.patch(f"{base}/registries/ghcr", json=body)
            assert answer.status_code == 400, answer.text
            assert_absent(answer.text, f"the answer to a patch with {body}")
        twin = http.post(f"{base}/registries", json={**record, "id": "ghcr"})
        assert twin.status_code == 409
        assert_absent(twin.text, "the answer to a second record of the same id")
        for text in (f'{{"creds": "{REFUSED}', f'"{REFUSED}"', f"[{REFUSED}]"):
            answer = http.post(f"{base}/registries", content=text.encode())
            assert answer.status_code == 400
            assert_absent(answer.text, "the answer to malformed JSON")
    for header in (f"Bearer {REFUSED}", f"Basic {REFUSED}", f"Bearer ppt_{REFUSED}"):
        answer = httpx.get(f"{base}/registries", headers={"Authorization": header})
        assert answer.status_code == 401
        assert_absent(answer.text, "the answer to a wrong token")


def use_the_web_page(server: PullpassServer) -> list[str]:
    """Secrets in forms that are refused, and a session; returns the values of its cookies."""
    home, cookies = "/ui/orgs/acme", []
    form = {"id": "?", "registry": "new.io", "creds.username": "bot", "creds.password": REFUSED}
    headers = {"Origin": server.url}
    with httpx.Client(base_url=server.url, headers=headers, follow_redirects=False) as http:
        for token in (REFUSED, f"ppt_{REFUSED}"):
            answer = http.post("/ui/sign-in", data={"token": token})
            assert answer.status_code == 401
            assert_absent(answer.text, "the sign-in page")
        for _ in range(2):
            http.post("/ui/sign-in", data={"token": server.admin_token})
            cookies.append(http.cookies["pullpass_session"])
        page = http.get(f"{home}/new-registry/other").text
        found = re.search(r'name="form_key" value="(\w+)"', page)
        assert found is not None
        key = {"form_key": found[1]}
        for path in ("new-registry/other", "new-registry/ecr", "registries/ghcr/edit"):
            answer = http.post(f"{home}/{path}", data={**form, **key})
            assert answer.status_code in (400, 412), answer.text
            assert_absent(answer.text, f"the page {path}", (*ALL, server.admin_token))
        answer = http.post(f"{home}/registries/ghcr/edit", data=form)
        assert answer.status_code == 403
        assert_absent(answer.text, "the refusal of a form without its key")
        for path in ("registries", "registries/ghcr", "registries/ghcr/edit", "users", "account"):
            assert_absent(http.get(f"{home}/{path}").text, path, (*ALL, server.admin_token))
        import_on_the_web_page(http, home, key)
        assert http.post("/ui/sign-out", data=key).status_code == 303
        late = {**form, "id": "late", "registry": "late.io", **key}
        at = f"{home}/new-registry/other"
        answer = http.post(at, data=late, headers={"Referer": f"{server.url}{at}"})
        assert answer.status_code == 303
        kept = base64.urlsafe_b64decode(http.cookies["pullpass_form"])
        fields = zlib.decompress(kept[hashlib.sha256().digest_size :])
        assert b"late.io" in fields
        assert_absent(fields, "what the browser keeps of a form")
    return cookies


def import_on_the_web_page(http: httpx.Client, home: str, key: dict[str, str]) -> None:
    entry = {"auth": base64.b64encode(f"bot:{REFUSED}".encode()).decode()}
    for config in (json.dumps({"auths": {"imported.io": entry}}), f'{{"auths": "{REFUSED}'):
        plan = http.post(f"{home}/import", data={"config": config, **key})
        assert_absent(plan.text, "the plan of an import")
        if found := re.search(r'name="plan" value="([^"]+)"', plan.text):
            assert_absent(base64.urlsafe_b64decode(found[1]), "the sealed plan")
            done = http.post(f"{home}/import/confirm", data={"plan": found[1], **key})
            assert "1 of 1 record was created" in done.text
            assert_absent(done.text, "what came of an import")


def test_an_unforeseen_error_shows_nothing(tmp_path: Path) -> None:
    """A database that was tampered with: the answer and the log say so, and no more."""
    with pullpass_server(tmp_path / "data") as server:
        done = server.cli(
            *("registry", "create", "ghcr", "--registry", "ghcr.io", "--type", "basic"),
            *("--username", "bot", "--password-stdin"),
            stdin=STORED,
        )
        assert done.returncode == 0
        server.stop()
        with sqlite3.connect(tmp_path / "data" / "pullpass.db") as database:
            database.execute(
                "INSERT INTO records SELECT organization_id, 'twin', 'twin.io', 'twin.io', type, "
                "enable_ci, secrets, options, sealed_creds, created_at, created_by, version "
                "FROM records"
            )
        database.close()
        server.start()
        answer = httpx.get(
            f"{server.url}/orgs/acme/registries/twin/creds",
            headers={"Authorization": f"Bearer {server.admin_token}"},
        )
        assert answer.status_code == 500
        assert answer.json()["code"] == "seal_broken"
        assert_absent(answer.text, "the answer")
        assert "Traceback" not in answer.text
        # The record that the row was copied from still opens.
        assert server.cli("creds", "ghcr.io/a").returncode == 0
        assert_absent(server.log_text(), "the log")
        assert "'twin' does not open" in server.log_text()


def test_no_identity_token_comes_out_nor_the_token_given_for_it(tmp_path: Path) -> None:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8", "PULLPASS_LOG_LEVEL": "debug"}
    with pullpass_server(tmp_path / "data", env=env) as server, IssuerServer() as issuer:
        made = server.cli(
            *("trust", "create", "github", "--issuer", issuer.name, "--role", "puller"),
            *("--claim", "repository=acme/app"),
        )
        assert made.returncode == 0, made.stderr
        good, forged = issuer.token(), issuer.token(key=new_key())
        foreign, expired = issuer.token(repository="x/y"), issuer.token(exp=1)
        secret = tuple(part for token in (good, forged) for part in token.split(".")[1:])
        secret += (foreign.split(".")[2], expired.split(".")[2])
        done = server.cli("token", "exchange", "--token-stdin", stdin=good)
        assert done.returncode == 0, done.stderr
        given = done.stdout.strip()
        assert_absent(done.stderr, "stderr", (*secret, given))
        tried = server.cli("trust", "test", "--token-stdin", stdin=good)
        assert tried.returncode == 0, tried.stderr
        assert_absent(tried.stdout + tried.stderr, "the trial", secret)
        for token in (forged, foreign, expired):
            for command in (("token", "exchange"), ("trust", "test")):
                refused = server.cli(*command, "--token-stdin", stdin=token)
                assert refused.returncode != 0
                assert_absent(refused.stdout + refused.stderr, " ".join(command), secret)
        for body in (f"subject_token={good}&subject_token={good}", f"x={good}", good):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = httpx.post(f"{server.url}/token", content=body, headers=form)
            assert answer.status_code == 400
            assert_absent(answer.text, "the answer to a form", secret)
        assert server.cli("whoami").returncode == 0
        job = httpx.get(f"{server.url}/current-user", headers={"Authorization": f"Bearer {given}"})
        assert job.status_code == 200
        infos = server.cli("token", "list", "--user", job.json()["id"], "--output", "json")
        assert_absent(infos.stdout, "the list of tokens", (*secret, given))
        assert_absent(httpx.get(f"{server.url}/metrics").text, "metrics", (*secret, given))
        server.stop()
        assert_absent(server.log_text(), "the log", (*secret, given))
        assert '"event": "token exchanged"' in server.log_text()
        assert '"event": "token exchange refused"' in server.log_text()
        for path in sorted((tmp_path / "data").iterdir()):
            assert_absent(path.read_bytes(), path.name, (*secret, given))
