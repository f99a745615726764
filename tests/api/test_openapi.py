"""Our own OpenAPI document, held against a running server by a property-based API tester."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.server import PullpassServer, installed, pullpass_server

CONFIG = Path(__file__).with_name("schemathesis.toml")
# They can end, or make less of, the token that all other calls are made with.
ENDS_THE_RUN = ("deleteUserToken", "updateOrganizationUser", "deleteOrganizationUser")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path / "data") as running:
        for record_id, registry in (("hub", "docker.io"), ("quay", "quay.io")):
            made = httpx.post(
                f"{running.url}/orgs/acme/registries",
                headers={"Authorization": f"Bearer {running.admin_token}"},
                json={"id": record_id, "registry": registry, "type": "public"},
            )
            assert made.status_code == 201
        yield running


def attack(server: PullpassServer, *arguments: str) -> str:
    command = [installed("schemathesis"), "--config-file", str(CONFIG), "run"]
    done = subprocess.run(
        [
            *(*command, f"{server.url}/schema/openapi.json", "--url", server.url),
            *("-H", f"Authorization: Bearer {server.admin_token}"),
            *("--max-examples", "25", "--no-color", *arguments),
        ],
        cwd=server.data_dir.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_answer_is_off_the_schema_and_none_is_a_5xx(server: PullpassServer) -> None:
    excluded = [word for name in ENDS_THE_RUN for word in ("--exclude-operation-id", name)]
    report = attack(server, *excluded)
    assert "returned only 401/403 responses" not in report
    errors = [line for line in server.log_text().splitlines() if "unexpected error" in line]
    assert errors == []


@pytest.mark.parametrize("operation", ENDS_THE_RUN)
def test_what_takes_rights_away_is_on_the_schema_too(
    server: PullpassServer, operation: str
) -> None:
    attack(server, "--include-operation-id", operation)


def test_the_reference_page_reads_the_same_document(server: PullpassServer) -> None:
    document = httpx.get(f"{server.url}/schema/openapi.json").json()
    page = httpx.get(f"{server.url}/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert path in page.text
            assert f'id="{operation["operationId"]}"' in page.text
    for link in ("http://", "https://", "<script", "src="):
        assert link not in page.text.replace("https://index.docker.io/v1/", "")
