"""Where a setting comes from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pullpass.server import settings
from pullpass.server.settings import SettingsError


def test_options_go_before_the_environment_before_the_file_before_the_default(
    tmp_path: Path,
) -> None:
    config = tmp_path / "pullpass.toml"
    config.write_text('[server]\nport = 1000\nworkers = 2\nlog_level = "error"\n')
    environment = {"PULLPASS_CONFIG": str(config), "PULLPASS_PORT": "2000", "PULLPASS_WORKERS": ""}
    found = settings.load({"port": "3000", "workers": None}, environment)
    assert (found.port, found.workers, found.log_level) == (3000, 2, "error")
    assert settings.load({}, environment).port == 2000
    assert settings.load({}, {}).port == 8080


def test_the_data_directory_holds_what_is_not_named_otherwise(tmp_path: Path) -> None:
    found = settings.load({"data_dir": str(tmp_path)}, {})
    assert found.database == f"sqlite:///{tmp_path}/pullpass.db"
    assert found.master_key_file == tmp_path / "master.key"


def test_networks_are_a_list_in_the_file_or_have_commas_between_them(tmp_path: Path) -> None:
    config = tmp_path / "pullpass.toml"
    config.write_text('[server]\nallow_networks = ["10.0.0.0/8", "fd00::/8"]\n')
    found = settings.load({"config": str(config)}, {}).allow_networks
    assert [str(network) for network in found] == ["10.0.0.0/8", "fd00::/8"]
    environment = {"PULLPASS_ALLOW_NETWORKS": " 10.0.0.0/8 , fd00::/8, "}
    assert settings.load({}, environment).allow_networks == found
    assert settings.load({}, {}).allow_networks == ()


def test_settings_do_not_show_their_secrets() -> None:
    environment = {
        "PULLPASS_DATABASE": "postgresql://pullpass:canary@db/pullpass",
        "PULLPASS_MASTER_KEY": "canary",
        "PULLPASS_VAULT_TOKEN": "canary",
    }
    assert "canary" not in repr(settings.load({}, environment))


@pytest.mark.parametrize(
    ("options", "environment", "says"),
    [
        ({"port": "0"}, {}, "--port"),
        ({"port": "http"}, {}, "1 to 65535"),
        ({}, {"PULLPASS_PORT": "99999"}, "PULLPASS_PORT"),
        ({}, {"PULLPASS_WORKERS": "none"}, "PULLPASS_WORKERS"),
        ({"database": "mysql://canary@db"}, {}, "postgresql://"),
        ({"log_format": "xml"}, {}, "json, console"),
        ({}, {"PULLPASS_ALLOW_NETWORKS": "10.0.0.0/8,ten"}, "PULLPASS_ALLOW_NETWORKS: 'ten'"),
        ({}, {"PULLPASS_ALLOW_NETWORKS": "10.0.0.1/8"}, "host bits"),
        ({"config": "/nowhere/pullpass.toml"}, {}, "/nowhere/pullpass.toml"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(
    options: dict[str, str], environment: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(options, environment)
    assert says in caught.value.message
    assert "canary" not in caught.value.message


PROVIDER = {
    "PULLPASS_PUBLIC_URL": "https://pullpass.example.com/",
    "PULLPASS_OIDC_ISSUER": "https://login.example.com/realms/acme",
    "PULLPASS_OIDC_CLIENT_ID": "pullpass",
}


def test_a_provider_to_sign_in_with(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary\n")
    config = tmp_path / "pullpass.toml"
    config.write_text('[server]\noidc_roles = ["acme:admin=a=b", "acme:reader=all"]\n')
    given = {**PROVIDER, "PULLPASS_OIDC_CLIENT_SECRET_FILE": str(secret)}
    found = settings.load({"config": str(config)}, given).sign_in
    assert found is not None
    assert found.callback == "https://pullpass.example.com/ui/sign-in/callback"
    assert (found.label, found.scopes) == ("single sign-on", "openid profile email")
    assert [(each.role, each.group) for each in found.group_roles] == [
        ("admin", "a=b"),
        ("reader", "all"),
    ]
    assert found.client_secret is not None
    assert found.client_secret.reveal() == "canary"
    assert "canary" not in repr(found)
    given["PULLPASS_OIDC_CLIENT_SECRET"] = "another"
    by_environment = settings.load({}, given).sign_in
    assert by_environment is not None
    assert by_environment.client_secret is not None
    assert by_environment.client_secret.reveal() == "another"
    assert settings.load({}, {"PULLPASS_PUBLIC_URL": "https://a.example"}).sign_in is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"PUBLIC_URL": ""}, "oidc_issuer is given without public_url"),
        ({"OIDC_CLIENT_ID": ""}, "without oidc_client_id"),
        ({"OIDC_ISSUER": ""}, "oidc_client_id is given without oidc_issuer"),
        ({"PUBLIC_URL": "http://pullpass.example.com"}, "PULLPASS_PUBLIC_URL is not https"),
        ({"PUBLIC_URL": "https://a.example/pullpass"}, "more than a host"),
        ({"PUBLIC_URL": "https://a.example:port"}, "malformed"),
        ({"PUBLIC_URL": "https://a.example\\b"}, "is no URL"),
        ({"OIDC_ISSUER": "http://login.example.com"}, "PULLPASS_OIDC_ISSUER is not https"),
        ({"OIDC_SCOPES": "profile"}, "openid"),
        ({"OIDC_LABEL": "x" * 51}, "PULLPASS_OIDC_LABEL"),
        ({"OIDC_EMAIL_TRUSTED": "yes"}, "off, on"),
        ({"OIDC_ROLES": "acme:admin"}, "'acme:admin' is none"),
        ({"OIDC_ROLES": "acme:cluster=all"}, "'acme:cluster=all' is none"),
        ({"OIDC_ROLES": "Acme:admin=all"}, "'Acme:admin=all' is none"),
        ({"OIDC_CLIENT_SECRET_FILE": "/nowhere/secret"}, "/nowhere/secret, cannot be read"),
    ],
    ids=str,
)
def test_a_provider_that_is_set_up_wrongly(change: dict[str, str], says: str) -> None:
    changed = {f"PULLPASS_{name}": value for name, value in change.items()}
    with pytest.raises(SettingsError) as caught:
        settings.load({}, {**PROVIDER, **changed})
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server", "not TOML"),
        ("[server]\nprot = 1", "server.prot"),
        ("[sever]\nport = 1", "sever"),
        ("server = 1", "must be a table"),
        ("[server]\nport = 70000", "[server] port"),
        ('[server]\nallow_networks = ["ten"]', "[server] allow_networks"),
        ("registries = 1", "[[registries]]"),
        ("registries = [1]", "number 1"),
        ('[[registries]]\nid = "a"\nregistry = "x.io"\ntype = "basic"', "number 1: id"),
        (
            '[[registries]]\nid = "one"\nregistry = "x.io"\ntype = "basic"\n'
            'creds = { username = "a", password_file = "missing" }',
            "creds.password_file",
        ),
        (
            '[[registries]]\nid = "one"\nregistry = "x.io"\ntype = "public"\n'
            '[[registries]]\nid = "two"\nregistry = "https://x.io"\ntype = "public"',
            "twice",
        ),
    ],
)
def test_a_wrong_configuration_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    config = tmp_path / "pullpass.toml"
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load_builtins(settings.load({"config": str(config)}, {}).config)
    assert says in caught.value.message
    assert str(config) in caught.value.message


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_an_unreadable_configuration_file_is_told(tmp_path: Path, content: bytes | None) -> None:
    config = tmp_path / "pullpass.toml"
    if content is None:
        config.mkdir()
    else:
        config.write_bytes(content)
    with pytest.raises(SettingsError, match=r"pullpass\.toml"):
        settings.load({"config": str(config)}, {})
