"""``pullpass registry``, ``match`` and ``creds`` against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pullpass.domain.record_types import RecordType
from tests.cli.conftest import Command
from tests.parts.server import PullpassServer, pullpass_server

PASSWORD = "hunter2 is not it"
CREATE = ("registry", "create")


def basic(record_id: str, registry: str) -> tuple[str, ...]:
    return (
        *(*CREATE, record_id, "--registry", registry, "--type", "basic"),
        *("--username", "robot", "--password-stdin"),
    )


def test_an_empty_organization_says_what_to_do_next(command: Command, tmp_path: Path) -> None:
    with pullpass_server(tmp_path / "data", organization="empty") as server:
        settings = {"url": server.url, "org": "empty", "token": server.admin_token}
        people = command("registry", "list", **settings)
        programs = command("registry", "list", "-o", "json", **settings)
    assert (people.code, people.out) == (0, "")
    assert "pullpass registry create" in people.err
    assert (programs.code, json.loads(programs.out), programs.err) == (0, [], "")


def test_a_record_from_its_creation_to_its_end(acme: Command) -> None:
    made = acme(*basic("life", "life.example/a"), "--expires", "2030-01-31", stdin=PASSWORD + "\n")
    assert (made.code, made.err) == (0, "")
    assert PASSWORD not in made.out

    listed = acme("registry", "list")
    assert [line.split()[:4] for line in listed.out.splitlines() if "life" in line] == [
        ["life", "life.example/a", "basic", "no"]
    ]
    creds = json.loads(acme("registry", "creds", "life", "-o", "json").out)
    assert creds == {
        "registry": "life.example/a",
        "username": "robot",
        "password": PASSWORD,
        "expires": "2030-01-31T00:00:00.000Z",
    }

    changed = acme("registry", "update", "life", "--enable-ci", "-o", "json")
    assert json.loads(changed.out)["enable_ci"] is True
    assert json.loads(acme("registry", "creds", "life", "-o", "json").out) == creds

    gone = acme("registry", "delete", "life", "--yes")
    assert (gone.code, gone.out) == (0, "")
    assert acme("registry", "get", "life").code == 4


def test_a_second_record_for_the_same_prefix_is_a_conflict(acme: Command) -> None:
    assert acme(*CREATE, "twice-a", "--registry", "twice.example", "--type", "public").code == 0
    done = acme(*CREATE, "twice-b", "--registry", "https://TWICE.example/v2/", "--type", "public")
    assert (done.code, done.out) == (5, "")
    assert "twice-a" in done.err


def test_all_that_is_wrong_is_said_at_once(acme: Command) -> None:
    done = acme(*CREATE, "Bad", "--registry", "nohost", "--type", "nonsense")
    assert done.code == 1
    for wrong in ("'Bad'", "'nohost'", "'nonsense'"):
        assert wrong in done.err
    assert done.err.count("\n") == 1


def test_what_is_missing_is_told_with_the_options_that_give_it(acme: Command) -> None:
    bare = acme(*CREATE, "bare", "--registry", "bare.example", "--type", "basic")
    assert (bare.code, bare.out) == (1, "")
    assert bare.err.startswith("pullpass: creds is missing for type 'basic'")
    assert "--username" in bare.err
    assert "--password-stdin" in bare.err
    copied = acme(*CREATE, "copied", "--registry", "copied.example", "--type", "secret_ref")
    assert copied.err.endswith(" Give --secret.\n")
    acme(*basic("turned", "turned.example"), stdin="example")
    turned = acme("registry", "update", "turned", "--type", "public")
    assert turned.err.endswith(" To remove it: --clear-creds.\n")


def test_a_credential_that_is_over_is_told_wherever_it_is_seen(acme: Command) -> None:
    past = ("--expires", "2020-01-31")
    made = acme(*basic("past", "past.example"), *past, stdin="example")
    assert (made.code, made.err.count("ended at 2020-01-31 00:00:00 UTC")) == (0, 1)
    shown = acme("creds", "past.example/app")
    assert "2020-01-31 00:00:00 UTC (over)\n" in shown.out
    config = acme("docker-config", "past.example/app")
    assert "It ended at 2020-01-31 00:00:00 UTC.\n" in config.err


def test_the_help_names_every_type(command: Command) -> None:
    for name in ("create", "update"):
        out = " ".join(command("registry", name, "--help").out.split())
        assert [each for each in RecordType if each not in out] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("plain", "plain"),
        ("unix\n", "unix"),
        ("dos\r\n", "dos"),
        ("two\n\n", "two\n"),
        (" spaces \n", " spaces "),
        ("päss wörd", "päss wörd"),
    ],
)
def test_only_one_newline_is_taken_from_a_password(
    acme: Command, tmp_path: Path, given: str, kept: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(given.encode())
    record = ("--registry", "newline.example", "--type", "basic", "--username", "robot")
    made = acme(*CREATE, "newline", *record, "--password-file", str(file))
    from_file = acme("registry", "creds", "newline", "-o", "json").out
    acme("registry", "update", "newline", *record[4:], "--password-stdin", stdin=given)
    from_stdin = acme("registry", "creds", "newline", "-o", "json").out
    acme("registry", "delete", "newline", "--yes")
    assert made.code == 0, made.err
    assert json.loads(from_file)["password"] == json.loads(from_stdin)["password"] == kept


def test_an_empty_password_is_not_sent(acme: Command) -> None:
    done = acme(*basic("hollow", "hollow.example"), stdin="\n")
    assert (done.code, done.out) == (2, "")
    assert "empty" in done.err
    assert acme("registry", "get", "hollow").code == 4


def test_a_record_can_be_read_edited_and_written_back(acme: Command, tmp_path: Path) -> None:
    acme(*CREATE, "edit", "--registry", "edit.example", "--type", "public")
    record = json.loads(acme("registry", "get", "edit", "-o", "json").out)
    file = tmp_path / "record.json"
    file.write_text(json.dumps(record | {"enable_ci": True}))
    written = acme("registry", "update", "edit", "-f", str(file), "-o", "json")
    assert (written.code, written.err) == (0, "")
    assert json.loads(written.out) == record | {
        "enable_ci": True,
        "etag": json.loads(written.out)["etag"],
    }
    again = acme("registry", "update", "edit", "-f", str(file))
    assert again.code == 5, "the file holds the version before the change"


def test_a_whole_record_comes_from_stdin(acme: Command) -> None:
    record = {
        "id": "whole",
        "registry": "whole.example",
        "type": "basic",
        "creds": {"username": "robot", "password": PASSWORD},
        "secrets": {"*": {"namespace": "pull", "secret": "whole"}},
    }
    made = acme(*CREATE, "-f", "-", stdin=json.dumps(record))
    assert (made.code, made.err) == (0, "")
    assert PASSWORD not in made.out
    assert "pull/whole" in made.out
    assert PASSWORD in acme("creds", "whole.example/app").out
    other = acme(*CREATE, "other", "-f", "-", stdin=json.dumps(record))
    assert other.code == 2


def test_an_older_version_is_neither_changed_nor_deleted(acme: Command) -> None:
    acme(*CREATE, "older", "--registry", "older.example", "--type", "public")
    old = json.loads(acme("registry", "get", "older", "-o", "json").out)["etag"]
    assert acme("registry", "update", "older", "--enable-ci", "--if-match", old).code == 0
    unquoted = old.strip('"')
    for arguments in (("update", "older", "--no-enable-ci"), ("delete", "older", "--yes")):
        assert acme("registry", *arguments, "--if-match", unquoted).code == 5
    assert acme("registry", "delete", "older", "--yes", "--if-match", "*").code == 0


def test_secret_references_and_their_removal(acme: Command) -> None:
    secrets = ("--secret", "*=pull/all", "--secret", "eu-1=pull/eu")
    made = acme(*basic("refs", "refs.example"), *secrets, stdin=PASSWORD)
    assert "Secret *     pull/all" in made.out
    one = acme("registry", "creds", "refs", "--cluster", "eu-1", "-o", "json")
    assert json.loads(one.out)["secrets"] == {"eu-1": {"namespace": "pull", "secret": "eu"}}
    cleared = acme("registry", "update", "refs", "--clear-secrets", "-o", "json")
    assert "secrets" not in json.loads(cleared.out)
    public = acme("registry", "update", "refs", "--type", "public", "--clear-creds")
    assert public.code == 0, public.err
    creds = acme("registry", "creds", "refs")
    assert "public" in creds.err
    assert PASSWORD not in creds.out


def test_what_each_image_matches_and_why(acme: Command) -> None:
    acme(*CREATE, "match-all", "--registry", "match.example", "--type", "public")
    acme(*CREATE, "match-team", "--registry", "match.example/team", "--type", "public")
    done = acme(
        *("match", "match.example/team/app:1", "-", "-o", "json"),
        stdin="match.example/app\n\n  nowhere.example/app  \nNot An Image\n",
    )
    assert done.code == 1, "one of them is malformed"
    answer = json.loads(done.out)
    assert [result.get("match", {}).get("id") for result in answer["results"]] == [
        "match-team",
        "match-all",
        None,
        None,
    ]
    assert [each["id"] for each in answer["results"][0]["candidates"]] == ["match-all"]
    assert answer["unmatched"] == ["nowhere.example/app"]
    assert answer["malformed"] == ["Not An Image"]

    assert acme("match", "match.example/app").code == 0
    unmatched = acme("match", "match.example/app", "nowhere.example/app")
    assert unmatched.code == 4
    first, second = unmatched.out.splitlines()[1:]
    assert first.split()[:4] == ["match.example/app", "match-all", "match.example", "public"]
    assert second.split()[:4] == ["nowhere.example/app", "-", "-", "-"]


def test_the_credential_for_an_image(acme: Command) -> None:
    acme(*basic("image", "image.example"), stdin=PASSWORD)
    people = acme("creds", "image.example/app@sha256:" + "0" * 64)
    assert f"Password  {PASSWORD}\n" in people.out
    assert "Record    image\n" in people.out
    programs = json.loads(acme("creds", "image.example/app", "--output", "json").out)
    assert (programs["id"], programs["username"], programs["password"]) == (
        "image",
        "robot",
        PASSWORD,
    )
    assert acme("creds", "nowhere.example/app").code == 4
    assert acme("creds", "Not An Image").code == 1


def test_a_password_that_no_line_can_hold_is_for_programs(acme: Command) -> None:
    acme(*basic("lines", "lines.example"), stdin="a\x1b[2Jb\nc")
    people = acme("registry", "creds", "lines")
    assert "\x1b" not in people.out
    assert "--output json" in people.out
    programs = acme("registry", "creds", "lines", "-o", "json")
    assert json.loads(programs.out)["password"] == "a\x1b[2Jb\nc"


def test_a_stranger_and_an_editor_get_no_credential(
    acme: Command, pullpass: PullpassServer
) -> None:
    acme(*basic("guarded", "guarded.example"), stdin=PASSWORD)
    editor = json.loads(acme("user", "create", "writer", "--role", "editor", "-o", "json").out)
    token = acme("token", "create", "t1", "--user", editor["id"]).out.strip()
    refused = acme("creds", "guarded.example/app", token=token)
    assert (refused.code, refused.out) == (3, "")
    assert acme("registry", "get", "guarded", token=token).code == 0
    stranger = acme("registry", "get", "guarded", token=pullpass.admin_token[:-1])
    assert (stranger.code, stranger.out) == (3, "")
