"""``pullpass audit`` against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.parts.server import PullpassServer


def test_what_was_asked_for_is_listed_newest_first(acme: Command) -> None:
    acme("registry", "create", "audited", "--registry", "audited.example", "--type", "public")
    acme("creds", "audited.example/app:1")
    acme("creds", "nowhere.example/app")
    listed = acme("audit", "list", "--limit", "2")
    assert listed.code == 0
    heading, first, second = listed.out.splitlines()
    assert heading.split() == ["TIME", "USER", "TOKEN", "ACTION", "ABOUT", "RESULT", "FROM"]
    assert ("nowhere.example/app" in first, "no_match" in first) == (True, True)
    assert "audited for audited.example/app:1" in second

    found = json.loads(acme("audit", "list", "--record", "audited", "-o", "json").out)
    assert [entry["action"] for entry in found] == ["credential.read", "registry.create"]
    refused = json.loads(acme("audit", "list", "--result", "refused", "-o", "json").out)
    assert {entry["result"] for entry in refused} == {"refused"}


def test_where_there_is_nothing_it_says_so(acme: Command) -> None:
    done = acme("audit", "list", "--since", "2200-01-01")
    assert (done.code, done.out, done.err) == (0, "", "No entries.\n")


def test_an_export_goes_on_behind_a_number(acme: Command) -> None:
    lines = [json.loads(line) for line in acme("audit", "export").out.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    rest = [json.loads(line) for line in acme("audit", "export", "--after", "2").out.splitlines()]
    assert rest[: len(lines) - 2] == lines[2:]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--action", "nothing"), "action is 'nothing'; expected one of credential.read,"),
        (("list", "--since", "soon"), "'soon' is no time"),
        (("verify", "--noted", "5:abc", "--org", "acme"), "expected NUMBER:HASH"),
        (("verify", "--noted", f"5:{'a' * 64}"), "--noted is about one organization: give --org."),
    ],
)
def test_what_is_wrong_is_named(acme: Command, arguments: tuple[str, ...], said: str) -> None:
    done = acme("audit", *arguments)
    assert done.code in (1, 2)
    assert said in done.err


def test_verifying_says_what_to_note_and_later_whether_it_is_there(
    command: Command, acme: Command, pullpass: PullpassServer
) -> None:
    verify = ("audit", "verify", "--org", "acme", "--data-dir", str(pullpass.data_dir))
    first = command(*verify)
    assert (first.code, first.err) == (0, "")
    noted = first.out.split()[-1]
    acme("creds", "nowhere.example/app")
    assert command(*verify, "--noted", noted).code == 0
    number = noted.partition(":")[0]
    other = command(*verify, "--noted", f"{number}:{'0' * 64}")
    assert other.code == 1
    assert f"entry {number}: not the one that was noted" in other.out
    missing = command("audit", "verify", "--org", "nope", "--data-dir", str(pullpass.data_dir))
    assert missing.code == 4


def test_verifying_needs_the_master_key(command: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert command("init", "--org", "acme", "--data-dir", str(data)).code == 0
    (data / "master.key").unlink()
    done = command("audit", "verify", "--data-dir", str(data))
    assert done.code == 1
    assert "master key" in done.err
