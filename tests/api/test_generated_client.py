"""A client that a public generator (openapi-python-client) makes of a running server's document."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.server import PullpassServer, installed, pullpass_server

PACKAGE = "generated_pullpass"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    with pullpass_server(tmp_path_factory.mktemp("generated") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def generated(server: PullpassServer) -> Iterator[Path]:
    """The folder that the package is in, while it can be imported."""
    folder = server.data_dir.parent
    done = subprocess.run(
        [
            *(installed("openapi-python-client"), "generate", "--fail-on-warning"),
            *("--url", f"{server.url}/schema/openapi.json"),
            *("--meta", "none", "--output-path", str(folder / PACKAGE)),
        ],
        # It lays the code out with ruff.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def of(module: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{module}")


def call(operation: str, *path: str, client: object, **given: object) -> Any:
    """What the generated function of an operation on records answers, in full."""
    return of(f"api.registry.{operation}").sync_detailed(*path, client=client, **given)


def test_the_six_operations(server: PullpassServer, generated: Path) -> None:
    models = of("models")
    client = of("client").AuthenticatedClient(base_url=server.url, token=server.admin_token)
    request = models.RegistryRequest(
        id="ghcr",
        registry="ghcr.io/acme",
        type_="basic",
        creds=models.AccountCredsRequest(username="bot", password="hunter2"),
        secrets=models.ClusterSecretsMapRequest.from_dict(
            {"*": {"namespace": "pull-secrets", "secret": "ghcr"}}
        ),
    )
    with client:
        made = call("post_orgs_org_id_registries", "acme", client=client, body=request)
        assert (made.status_code, made.parsed.id, made.parsed.type_) == (201, "ghcr", "basic")
        assert made.parsed.enable_ci is False
        assert made.parsed.secrets["*"].secret == "ghcr"
        assert made.headers["etag"] == '"1"'

        listed = call("get_orgs_org_id_registries", "acme", client=client)
        assert [type(record).__name__ for record in listed.parsed] == ["RegistryResponse"]

        got = call("get_orgs_org_id_registries_reg_id", "acme", "ghcr", client=client)
        assert got.parsed == made.parsed == listed.parsed[0]

        creds = call("get_orgs_org_id_registries_reg_id_creds", "acme", "ghcr", client=client)
        assert (creds.parsed.username, creds.parsed.password) == ("bot", "hunter2")

        request.enable_ci = True
        changed = call(
            "patch_orgs_org_id_registries_reg_id",
            *("acme", "ghcr"),
            client=client,
            body=request,
            if_match=made.headers["etag"],
        )
        assert (changed.status_code, changed.parsed.enable_ci) == (200, True)

        gone = call("delete_orgs_org_id_registries_reg_id", "acme", "ghcr", client=client)
        assert (gone.status_code, gone.parsed) == (204, None)


def test_errors_are_parsed(server: PullpassServer, generated: Path) -> None:
    models = of("models")
    with of("client").AuthenticatedClient(
        base_url=server.url, token=server.admin_token, raise_on_unexpected_status=True
    ) as client:
        missing = call("get_orgs_org_id_registries_reg_id", "acme", "nope", client=client)
        assert isinstance(missing.parsed, models.ErrorInfoResponse)
        assert (missing.status_code, missing.parsed.code) == (404, "registry_not_found")

        wrong = models.RegistryRequest(id="Bad", registry="a.example", type_="basic")
        refused = call("post_orgs_org_id_registries", "acme", client=client, body=wrong)
        assert refused.status_code == 400
        assert {problem.field for problem in refused.parsed.details.fields} == {"id", "creds"}
    with of("client").AuthenticatedClient(base_url=server.url, token="ppt_x") as client:
        stranger = call("get_orgs_org_id_registries", "acme", client=client)
        assert (stranger.status_code, stranger.parsed.code) == (401, "malformed_token")


async def test_it_is_asynchronous_too(server: PullpassServer, generated: Path) -> None:
    profile = of("api.user_profile.get_current_user")
    async with of("client").AuthenticatedClient(
        base_url=server.url, token=server.admin_token
    ) as client:
        answer = await profile.asyncio_detailed(client=client)
    assert answer.parsed.roles["/orgs/acme"] == "admin"
