"""What the command line says, and with which exit code, where a command cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.parts.ports import free_port
from tests.parts.wire import Scripted, answer, refusal, wire_server

TOKEN = "ppt_not-a-real-one"
RECORD = {"id": "ghcr", "registry": "ghcr.io", "type": "public", "enable_ci": False}
NOBODY = {"url": "http://127.0.0.1:1", "org": "acme", "token": TOKEN}


@pytest.mark.parametrize(
    ("script", "code", "line"),
    [
        (refusal(400, "invalid_fields", "id is 'A'."), 1, "id is 'A'."),
        (refusal(401, "unauthenticated", "No such token."), 3, "No such token."),
        (refusal(403, "forbidden", "Not for this role."), 3, "Not for this role."),
        (refusal(404, "not_found", "No such record."), 4, "No such record."),
        (refusal(409, "conflict", "Taken."), 5, "Taken."),
        (refusal(412, "precondition_failed", "Changed."), 5, "Changed."),
        (refusal(413, "body_too_large", "Too long."), 1, "Too long."),
        (
            refusal(502, "exchange_failed", "AWS refused.", X_Request_Id="r-1"),
            6,
            "AWS refused. (request r-1)",
        ),
        (refusal(503, "unavailable", "Busy.", Retry_After="99"), 7, "Busy."),
        (
            refusal(500, "internal_error", "Went wrong.", X_Request_Id="r-1"),
            1,
            "Went wrong. (request r-1)",
        ),
        (refusal(400, "x", "Two\nlines\x1b[2J."), 1, "Two lines\\x1b[2J."),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_each_refusal_is_one_line_and_an_exit_code(
    command: Command, script: Scripted, code: int, line: str
) -> None:
    with wire_server(script) as server:
        done = command("registry", "get", "ghcr", url=server.url, org="acme", token=TOKEN)
    assert (done.code, done.out, done.err) == (code, "", f"pullpass: {line}\n")


def test_no_server(command: Command) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = command("registry", "list", url=url, org="acme", token=TOKEN)
    assert done.code == 7
    assert done.err.startswith(f"pullpass: No answer from {url}: ")
    assert done.err.count("\n") == 1


def test_a_server_without_tls(command: Command) -> None:
    with wire_server(answer([])) as server:
        url = server.url.replace("http:", "https:")
        done = command("registry", "list", url=url, org="acme", token=TOKEN)
    assert done.code == 7
    assert done.err.startswith(f"pullpass: No answer from {url}: it does not speak TLS")
    assert "http://" in done.err


def test_a_silent_server(command: Command) -> None:
    with wire_server(Scripted(hang=True)) as server:
        done = command(
            *("--timeout", "0.2", "registry", "list"), url=server.url, org="acme", token=TOKEN
        )
    assert (done.code, done.err) == (7, f"pullpass: {server.url} did not answer in time.\n")


def test_the_address_of_something_else(command: Command) -> None:
    with wire_server(Scripted(404, b"<html>")) as server:
        done = command("registry", "get", "ghcr", url=server.url, org="acme", token=TOKEN)
    assert done.code == 1
    assert "Is the server's URL right?" in done.err


@pytest.mark.parametrize(
    ("missing", "named"), [("url", "PULLPASS_URL"), ("org", "PULLPASS_ORG"), ("token", "TOKEN")]
)
def test_a_missing_setting_is_named(command: Command, missing: str, named: str) -> None:
    given = {name: value for name, value in NOBODY.items() if name != missing}
    done = command("registry", "list", **given)
    assert (done.code, done.out) == (2, "")
    assert named in done.err
    assert done.err.count("\n") == 1


def test_where_the_token_is_taken_from(command: Command, tmp_path: Path) -> None:
    given, inherited = tmp_path / "given", tmp_path / "inherited"
    given.write_text("ppt_given\n")
    inherited.write_text("ppt_inherited")
    with wire_server(answer([])) as server:
        common = {"url": server.url, "org": "acme"}
        command("registry", "list", **common, token_file=str(inherited))
        command("registry", "list", **common, token="ppt_set", token_file=str(inherited))
        command(*("--token-file", str(given), "registry", "list"), **common, token="ppt_set")
    used = [request.headers["authorization"] for request in server.requests]
    assert used == ["Bearer ppt_inherited", "Bearer ppt_set", "Bearer ppt_given"]


def test_a_token_file_that_is_not_there(command: Command) -> None:
    done = command("--token-file", "/nowhere", "registry", "list", **NOBODY)
    assert done.code == 2
    assert "/nowhere" in done.err


def test_a_token_that_cannot_be_sent_is_not_shown(command: Command) -> None:
    done = command("registry", "list", **NOBODY | {"token": "hunter2 hunter2"})
    assert done.code == 2
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "There is no command 'nothing'. Commands: init, serve, "),
        (["regsitry", "list"], "There is no command 'regsitry'. Did you mean 'registry'?"),
        (["registry", "nothing"], "nothing"),
        (["registry", "get"], "ID"),
        (["registry", "list", "--colour"], "--colour"),
        (["registry", "list", "--output", "xml"], "json"),
        (["registry", "create", "ghcr", "--type", "public"], "--registry is missing"),
        (["registry", "create", "--registry", "a.io", "--type", "public"], "ID is missing"),
        (["registry", "update", "ghcr"], "Nothing to change"),
        (["registry", "update", "ghcr", "--password-file", "f"], "give --username"),
        (["registry", "update", "ghcr", "--expires", "2030-01-31"], "give --username"),
        (["registry", "update", "ghcr", "--username", "u"], "--password-stdin"),
        (["registry", "update", "ghcr", "--expires", "soon"], "2030-01-31T12:00:00Z"),
        (["registry", "update", "ghcr", "--secret", "a=b"], "CLUSTER=NAMESPACE/NAME"),
        (
            ["registry", "update", "ghcr", "--secret", "a=b/c", "--secret", "a=d/e"],
            "once for each cluster",
        ),
        (
            ["registry", "update", "ghcr", "--secret", "a=b/c", "--clear-secrets"],
            "not both",
        ),
        (["registry", "update", "ghcr", "-f", "x", "--type", "basic"], "not both"),
        (["registry", "update", "ghcr", "-f", "/nowhere"], "'/nowhere'"),
        (["registry", "update", "ghcr", "-f", "-"], "is not JSON"),
        (["registry", "delete", "ghcr"], "--yes"),
        (["registry", "delete", "..", "--yes"], "id"),
        (["match"], "IMAGE"),
        (["match", "-"], "no image"),
        (["token", "create", "t", "--expires", "x"], "no time"),
        (["user", "create", "build"], "--role"),
        (["docker-config", "a.io/b", "--secret", "A_b"], "--secret is 'A_b'; expected"),
        (["completion", "tcsh"], "bash"),
        (["completion"], "fish. Try 'pullpass completion --help'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_said_in_one_line(command: Command, arguments: list[str], said: str) -> None:
    done = command(*arguments, **NOBODY)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.startswith("pullpass: ")
    assert done.err.count("\n") == 1


def test_a_file_that_is_no_record_is_not_shown(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text('{"creds": {"password": "hunter2" "username"}}')
    done = command("registry", "update", "ghcr", "-f", str(file), **NOBODY)
    assert done.code == 2
    assert "line 1, column" in done.err
    assert "hunter2" not in done.err


def test_a_terminal_is_not_driven_by_a_name(command: Command) -> None:
    name = "\x1b]0;pwned\x07"
    user = {"id": "u1", "name": name, "type": "user", "role": "reader"}
    with wire_server(answer([user])) as server:
        done = command("user", "list", url=server.url, org="acme", token=TOKEN)
    assert "\x1b" not in done.out
    assert "\\x1b]0;pwned\\x07" in done.out
