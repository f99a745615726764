"""``pullpass docker-config`` as its user sees it. (Real clients read it in tests/journeys.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.parts.server import PullpassServer


@pytest.fixture(scope="module", autouse=True)
def records(pullpass: PullpassServer) -> None:
    for record_id, registry in (
        ("dc-a", "dc.example/a"),
        ("dc-b", "dc.example/b"),
        ("dc-one", "dc-one.example/one"),
    ):
        done = pullpass.cli(
            *("registry", "create", record_id, "--registry", registry, "--type", "basic"),
            *("--username", record_id, "--password-stdin", "--expires", "2031-01-31"),
            stdin="a password",
        )
        assert done.returncode == 0, done.stderr


def test_the_config_is_alone_on_stdout_and_the_rest_is_said_on_stderr(acme: Command) -> None:
    done = acme("docker-config", "dc.example/a/x:1", "dc.example/b/y", "none.example/z")
    assert done.code == 0
    auths = json.loads(done.out)["auths"]
    assert set(auths) == {
        *("dc.example", "dc.example/a", "dc.example/a/x", "dc.example/b", "dc.example/b/y")
    }
    assert auths["dc.example"] == {}
    assert "anonymously: none.example/z." in done.err
    assert "several credentials for dc.example" in done.err
    assert "ends at 2031-01-31 00:00:00 UTC." in done.err


def test_images_come_from_stdin(acme: Command) -> None:
    done = acme("docker-config", "-", stdin="\ndc-one.example/one/x\n")
    assert (done.code, set(json.loads(done.out)["auths"])) == (
        0,
        {"dc-one.example", "dc-one.example/one"},
    )
    assert acme("docker-config", "-", stdin="\n").code == 2


def test_a_secret_says_where_a_kubelet_would_show_the_credential_to_others(acme: Command) -> None:
    done = acme("docker-config", "dc-one.example/one", "--secret", "pull")
    manifest = json.loads(done.out)
    assert "namespace" not in manifest["metadata"]
    assert "such as dc-one.example/one2/app" in done.err
    done = acme("docker-config", "dc-one.example/one/app", "--secret", "pull")
    assert "one2" not in done.err
    refused = acme("docker-config", "dc-one.example/one", "--namespace", "web")
    assert (refused.code, refused.out) == (2, "")


def test_a_file_is_replaced_at_once_and_for_its_owner_only(acme: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("before")
    file.chmod(0o644)
    bad = acme("docker-config", "dc-one.example/one/x", "Bad Image", "--file", str(file))
    assert (bad.code, file.read_text()) == (1, "before")
    assert "images.1" in bad.err
    done = acme("docker-config", "dc-one.example/one/x", "--file", str(file))
    assert (done.code, done.out) == (0, "")
    assert "auths" in json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
    lost = acme("docker-config", "dc-one.example/one/x", "--file", str(tmp_path / "no" / "file"))
    assert (lost.code, lost.out) == (1, "")
    assert "No such file or directory" in lost.err
