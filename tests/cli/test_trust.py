"""``pullpass trust`` and ``pullpass token exchange`` against a real server and a real issuer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from pullpass.domain.token import is_well_formed
from tests.cli.conftest import Command, Done
from tests.parts.oidc import IssuerServer
from tests.parts.server import PullpassServer, pullpass_server
from tests.parts.wire import answer, wire_server


@pytest.fixture(scope="module")
def pullpass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PullpassServer]:
    env = {"PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with pullpass_server(tmp_path_factory.mktemp("pullpass") / "data", env=env) as server:
        yield server


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    with IssuerServer() as running:
        yield running


@pytest.fixture
def job(command: Command, pullpass: PullpassServer) -> Command:
    """Somebody without a token."""

    def execute(*arguments: str, stdin: str = "") -> Done:
        return command(*arguments, stdin=stdin, url=pullpass.url, org=pullpass.organization)

    return execute


@pytest.fixture(autouse=True)
def rule(acme: Command, issuer: IssuerServer) -> Iterator[None]:
    made = acme(
        *("trust", "create", "github", "--issuer", issuer.name, "--role", "ci"),
        *("--claim", "repository=acme/*", "--claim", "ref=refs/heads/main"),
        *("--claim", "ref=refs/tags/*", "--registry", "team-*"),
    )
    assert made.code == 0, made.err
    yield
    acme("trust", "delete", "github", "--yes")


def test_a_rule_from_its_creation_to_its_end(acme: Command, issuer: IssuerServer) -> None:
    shown = acme("trust", "get", "github")
    assert "Claim repository  acme/*" in shown.out
    assert "refs/heads/main or refs/tags/*" in shown.out
    assert "pullpass:acme" in shown.out
    listed = acme("trust", "list").out.splitlines()
    assert listed[0].split() == ["ID", "ISSUER", "CLAIMS", "ROLE", "REGISTRIES"]
    assert listed[1].endswith("ci    team-*")
    machine = json.loads(acme("trust", "list", "-o", "json").out)[0]
    assert machine["claims"] == {
        "repository": ["acme/*"],
        "ref": ["refs/heads/main", "refs/tags/*"],
    }
    assert (machine["lifetime"], machine["registries"]) == (900, ["team-*"])

    changed = acme(
        *("trust", "update", "github", "--role", "cluster", "--cluster", "eu"),
        *("--lifetime", "60", "--all-registries", "-o", "json"),
    )
    found = json.loads(changed.out)
    assert (found["role"], found["cluster"], found["lifetime"]) == ("cluster", "eu", 60)
    assert "registries" not in found
    assert acme("trust", "delete", "github", "--yes").code == 0
    assert acme("trust", "get", "github").code == 4
    empty = acme("trust", "list")
    assert (empty.code, empty.out) == (0, "")
    assert "pullpass trust create" in empty.err


def test_a_job_without_a_token_gets_one(acme: Command, job: Command, issuer: IssuerServer) -> None:
    done = job("token", "exchange", "--token-stdin", stdin=issuer.token() + "\n")
    assert done.code == 0, done.err
    token = done.out.removesuffix("\n")
    assert is_well_formed(token)
    assert token not in done.err
    assert "'github', for 900 s" in done.err
    assert "trust:github" in acme("whoami", token=token).out

    machine = json.loads(
        job(
            "token",
            "exchange",
            "--token-stdin",
            "--rule",
            "github",
            "-o",
            "json",
            stdin=issuer.token(),
        ).out
    )
    assert (machine["token_type"], machine["expires_in"], machine["scope"]) == (
        "Bearer",
        900,
        "github",
    )


def test_a_token_that_is_not_taken(job: Command, issuer: IssuerServer) -> None:
    token = issuer.token(repository="evil/app")
    done = job("token", "exchange", "--token-stdin", stdin=token)
    assert (done.code, done.out) == (1, "")
    assert "comes under no trust rule" in done.err
    assert token not in done.err
    assert job("token", "exchange", "--token-stdin").code == 2


def test_in_a_job_of_github_actions(
    job: Command, issuer: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    missing = job("token", "exchange", "--github")
    assert missing.code == 2
    assert "id-token: write" in missing.err
    with wire_server(answer({"value": issuer.token()}), answer({}, 403)) as github:
        monkeypatch.setitem(os.environ, "ACTIONS_ID_TOKEN_REQUEST_URL", f"{github.url}/?v=2")
        monkeypatch.setitem(os.environ, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-token")
        done = job("token", "exchange", "--github")
        assert is_well_formed(done.out.strip()), done.err
        assert github.requests[0].target == "/?v=2&audience=pullpass%3Aacme"
        assert github.requests[0].headers["authorization"] == "Bearer runner-token"
        refused = job("token", "exchange", "--github", "--audience", "mine")
        assert github.requests[1].target.endswith("audience=mine")
        assert (refused.code, refused.out) == (1, "")
        assert "GitHub gave no identity token" in refused.err


def test_a_token_is_tried_and_told_why_not(acme: Command, issuer: IssuerServer) -> None:
    good = acme("trust", "test", "--token-stdin", stdin=issuer.token())
    assert good.code == 0, good.err
    assert "Rule   github" in good.out
    wrong = acme("trust", "test", "--token-stdin", stdin=issuer.token(ref="refs/heads/x"))
    assert wrong.code == 4
    assert "'refs/heads/x', not 'refs/heads/main' or 'refs/tags/*'" in wrong.out
    machine = acme("trust", "test", "--token-stdin", "-o", "json", stdin=issuer.token())
    assert json.loads(machine.out)["ok"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trust", "create", "x", "--issuer", "https://a.example", "--role", "ci"), "--claim"),
        (("trust", "create", "x", "--role", "ci", "--claim", "a=b"), "--issuer"),
        (("trust", "update", "github"), "Nothing to change"),
        (("trust", "update", "github", "--claim", "repository"), "NAME=PATTERN"),
        (("trust", "update", "github", "--registry", "a", "--all-registries"), "not both"),
        (("trust", "delete", "github"), "--yes"),
        (("token", "exchange", "--github", "--token-stdin"), "one of them"),
        (("token", "exchange", "--token-stdin", "--audience", "x"), "--github"),
    ],
)
def test_wrong_usage(acme: Command, arguments: tuple[str, ...], says: str) -> None:
    done = acme(*arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
