"""The config file that ``pullpass login`` writes, as the credential helper reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pullpass.plugins.settings import Failed, config_path, read_config
from tests.parts.wire import answer, refusal, wire_server
from tests.plugins.helper import TOKEN, environment, helper

FOUND = {"id": "ghcr", "registry": "ghcr.io", "type": "basic", "username": "u", "password": "p"}
SECRET_TOOL = """\
#!/bin/sh
echo "$@" >> "$0.calls"
[ "$*" = "lookup service pullpass url $EXPECTED_URL org acme" ] && printf %s "$KEPT"
"""


def write(folder: Path, text: str) -> Path:
    """The config file with this text, in a folder to name in XDG_CONFIG_HOME."""
    file = folder / "pullpass" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"HOME": "/home/jo"}, "/home/jo/.config/pullpass/config.toml"),
        ({"HOME": "/home/jo", "XDG_CONFIG_HOME": "/etc/xdg"}, "/etc/xdg/pullpass/config.toml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/pullpass/config.toml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": ""}, "/h/.config/pullpass/config.toml"),
        ({}, ""),
    ],
)
def test_where_the_file_is(environ: dict[str, str], path: str) -> None:
    assert config_path(environ) == path


@pytest.mark.parametrize(
    "text",
    [
        'url = "https://p.example"\norg = "acme"\ntoken_file = "token"\n'
        'ca_bundle = "/etc/ca.pem"\ntimeout = 5\ncache = false\n',
        # What only a whole TOML reader understands means the same.
        "# Ünser Server\nurl = 'https://p.example' # here\norg = \"\\u0061cme\"\n"
        'token_file = "token"\nca_bundle = """/etc/ca.pem"""\ntimeout = 5.0\ncache = false\n',
    ],
)
def test_every_key(tmp_path: Path, text: str) -> None:
    config = read_config(str(write(tmp_path, text)))
    assert (config.url, config.org, config.token_store) == ("https://p.example", "acme", None)
    assert config.token_file == str(tmp_path / "pullpass" / "token")
    assert (config.ca_bundle, config.timeout, config.cache) == ("/etc/ca.pem", 5, False)


def test_no_file_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "none"), str(write(tmp_path, "\n# nothing\n"))):
        config = read_config(path)
        assert (config.url, config.token_file, config.timeout, config.cache) == (None,) * 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url", "is not TOML"),
        ('url = "a"\nurl = "b"\n', "is not TOML"),
        ('url = "a\n', "is not TOML"),
        ("timeout = 007\n", "is not TOML"),
        ("url = 1", "'url' is not a text"),
        ('org = ""', "'org' is not a text"),
        ('timeout = "5"', "'timeout' is not a number of seconds"),
        ("timeout = true", "'timeout' is not a number of seconds"),
        ('cache = "off"', "'cache' is neither true nor false"),
        ('token = "hunter2"', "'token' is unknown; known are url, org, token_file"),
        ('[server]\nurl = "a"', "'server' is unknown"),
        ('token_store = "pass"', "'token_store' is not \"keyring\""),
        ('token_store = "keyring"\ntoken_file = "t"', "'token_file' and 'token_store'"),
        ("x" * 70_000, "is longer than"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Failed) as failed:
        read_config(str(path))
    message = str(failed.value)
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message
    assert "hunter2" not in message


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "pullpass" / "config.toml").mkdir(parents=True)
    done = helper("get", stdin="ghcr.io", env=environment(XDG_CONFIG_HOME=str(tmp_path)))
    assert done.returncode == 1
    assert f"{tmp_path}/pullpass/config.toml cannot be read (Is a directory)" in done.stdout
    write(tmp_path / "two", "").write_bytes(b'url = "\xff"')
    done = helper("get", stdin="ghcr.io", env=environment(XDG_CONFIG_HOME=str(tmp_path / "two")))
    assert "is not TOML in UTF-8" in done.stdout


def test_the_helper_needs_nothing_but_the_file(tmp_path: Path) -> None:
    (tmp_path / "pullpass").mkdir()
    (tmp_path / "pullpass" / "token").write_text(f"{TOKEN}\n")
    with wire_server(answer(FOUND)) as server:
        write(tmp_path, f'url = "{server.url}/"\norg = "acme"\ntoken_file = "token"\n')
        done = helper("get", stdin="ghcr.io", env=environment(XDG_CONFIG_HOME=str(tmp_path)))
    assert done.returncode == 0, done.stdout
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_logins_token_goes_to_its_own_server_only(tmp_path: Path) -> None:
    (tmp_path / "pullpass").mkdir()
    (tmp_path / "pullpass" / "token").write_text(TOKEN)
    file = 'url = "https://pullpass.example"\norg = "acme"\ntoken_file = "token"\n'
    write(tmp_path, file)
    with wire_server(answer(FOUND)) as server:
        elsewhere = environment(XDG_CONFIG_HOME=str(tmp_path), PULLPASS_URL=server.url)
        refused = helper("get", stdin="ghcr.io", env=elsewhere)
        assert server.requests == []
        done = helper("get", stdin="ghcr.io", env=elsewhere | {"PULLPASS_TOKEN": TOKEN})
    assert refused.returncode == 1
    assert "the login is for https://pullpass.example" in refused.stdout
    assert TOKEN not in refused.stdout + refused.stderr
    assert done.returncode == 0, done.stdout


def test_a_variable_goes_before_its_key(tmp_path: Path) -> None:
    with wire_server(answer(FOUND)) as server:
        file = write(tmp_path, f'url = "{server.url}"\norg = "other"\ntoken_file = "none"\n')
        env = environment(XDG_CONFIG_HOME=str(tmp_path), PULLPASS_ORG="acme")
        refused = helper("get", stdin="ghcr.io", env=env)
        done = helper("get", stdin="ghcr.io", env=env | {"PULLPASS_TOKEN": TOKEN})
    assert f"'token_file' in {file} cannot be read" in refused.stdout
    assert done.returncode == 0, done.stdout
    assert [request.target for request in server.requests] == ["/orgs/acme/host-creds?host=ghcr.io"]


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "check 'token_file' in {file}"), (404, "check 'org' in {file}")],
)
def test_advice_names_what_was_set_where(tmp_path: Path, status: int, said: str) -> None:
    (tmp_path / "pullpass").mkdir()
    (tmp_path / "pullpass" / "token").write_text(TOKEN)
    with wire_server(refusal(status, "refused", "No.")) as server:
        file = write(tmp_path, f'url = "{server.url}"\norg = "acme"\ntoken_file = "token"\n')
        done = helper("get", stdin="ghcr.io", env=environment(XDG_CONFIG_HOME=str(tmp_path)))
    assert said.format(file=file) in done.stdout


def test_a_keyring_is_asked_by_server_and_organization(tmp_path: Path) -> None:
    program = tmp_path / "secret-tool"
    program.write_text(SECRET_TOOL)
    program.chmod(0o755)
    with wire_server(answer(FOUND)) as server:
        write(tmp_path, f'url = "{server.url}"\norg = "acme"\ntoken_store = "keyring"\n')
        env = environment(
            XDG_CONFIG_HOME=str(tmp_path),
            PATH=f"{tmp_path}:/usr/bin:/bin",
            EXPECTED_URL=server.url,
            KEPT=TOKEN,
        )
        done = helper("get", stdin="ghcr.io", env=env)
        empty = helper("get", stdin="quay.io", env=env | {"KEPT": ""})
        absent = helper("get", stdin="quay.io", env=env | {"PATH": "/nowhere"})
    assert done.returncode == 0, done.stdout
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert len(server.requests) == 1
    assert f"holds no token for {server.url} and organization acme" in empty.stdout
    assert "pullpass login" in empty.stdout
    assert "secret-tool (Debian: libsecret-tools) is not installed" in absent.stdout
