"""``pullpass token``, ``user`` and ``whoami`` against a real server."""

from __future__ import annotations

import json

from pullpass.domain.token import is_well_formed
from tests.cli.conftest import Command


def test_whose_token_it_is(acme: Command) -> None:
    people = acme("whoami")
    assert people.code == 0
    assert "Role in /orgs/acme  admin" in people.out
    programs = json.loads(acme("whoami", "-o", "json").out)
    assert programs["roles"] == {"/orgs/acme": "admin"}


def test_whoami_needs_no_organization(command: Command, acme: Command) -> None:
    assert acme("--org", "", "whoami").code == 0


def test_a_user_from_its_creation_to_its_end(acme: Command) -> None:
    made = acme("user", "create", "eu", "--role", "cluster", "--cluster", "eu-1", "-o", "json")
    assert (made.code, made.err) == (0, "")
    user = json.loads(made.out)
    assert (user["type"], user["role"], user["cluster"]) == ("service", "cluster", "eu-1")

    assert acme("user", "update", user["id"], "--role", "puller").code == 0
    shown = acme("user", "get", user["id"])
    assert "Role     puller" in shown.out
    assert "eu-1" not in shown.out
    listed = json.loads(acme("user", "list", "-o", "json").out)
    assert {"eu", "admin"} <= {each["name"] for each in listed}

    assert acme("user", "delete", user["id"], "--yes").code == 0
    assert acme("user", "get", user["id"]).code == 4


def test_after_a_user_comes_its_token(acme: Command) -> None:
    made = acme("user", "create", "next", "--role", "reader")
    advice = made.err.strip().partition("pullpass ")[2]
    assert advice.startswith("token create ID --user ")
    token = acme(*advice.replace("ID", "first", 1).split())
    assert token.code == 0
    assert is_well_formed(token.out.strip())
    assert json.loads(acme("whoami", "-o", "json", token=token.out.strip()).out)["name"] == "next"


def test_a_token_is_shown_once_alone_on_stdout_and_ends_when_it_is_deleted(acme: Command) -> None:
    made = acme("token", "create", "laptop", "--description", "Mine", "--expires", "2030-01-31")
    token = made.out.removesuffix("\n")
    assert is_well_formed(token)
    assert token not in made.err

    listed = acme("token", "list")
    assert token not in listed.out
    assert next(line for line in listed.out.splitlines() if line.startswith("laptop ")).endswith(
        "2030-01-31 00:00:00 UTC"
    )
    assert acme("token", "create", "laptop").code == 5
    assert acme("whoami", token=token).code == 0
    assert acme("token", "delete", "laptop", "--yes").code == 0
    assert acme("token", "delete", "laptop", "--yes").code == 4


def test_a_token_for_programs(acme: Command) -> None:
    made = acme("token", "create", "machine", "-o", "json")
    assert made.err == ""
    assert is_well_formed(json.loads(made.out)["token"])
    infos = json.loads(acme("token", "list", "-o", "json").out)
    assert {"id", "type", "description", "created_at", "created_by"} <= infos[0].keys()
    assert "token" not in infos[0]


def test_a_user_without_tokens(acme: Command) -> None:
    user = json.loads(acme("user", "create", "bare", "--role", "reader", "-o", "json").out)
    listed = acme("token", "list", "--user", user["id"])
    assert (listed.code, listed.out) == (0, "")
    assert "pullpass token create" in listed.err
