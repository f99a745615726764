"""How a server is set up: options, then environment, then the configuration file, then defaults.

Every setting has one name: `--data-dir` on the command line, `PULLPASS_DATA_DIR` in the
environment, `data_dir` under `[server]` in the TOML file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pullpass.domain import draft as drafts
from pullpass.domain.credential import Secret
from pullpass.domain.draft import Draft
from pullpass.domain.errors import FieldProblem, InvalidFields, InvalidInput
from pullpass.domain.sign_in import SignInProvider
from pullpass.exchange import aws_kms, transit
from pullpass.exchange.addresses import Network, parse_networks
from pullpass.server import sign_in_settings

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "log_format": get_args(LogFormat),
    "log_level": get_args(LogLevel),
    "ambient_identity": ("off", "on"),
    "oidc_email_trusted": ("off", "on"),
}
_NUMBERS: Mapping[str, tuple[int, int]] = {
    "port": (1, 65535),
    "workers": (1, 64),
    "min_credential_seconds": (0, 86400),
    "audit_retention_days": (0, 36500),
    "requests_per_second": (0, 1_000_000),
    "request_burst": (1, 1_000_000),
    "client_timeout_seconds": (1, 3600),
    "max_connections": (1, 1_000_000),
}
_DEFAULTS: Mapping[str, str] = {
    "host": "127.0.0.1",
    "port": "8080",
    "data_dir": "data",
    "workers": "1",
    "log_format": "json",
    "log_level": "info",
    "ambient_identity": "off",
    "min_credential_seconds": "900",
    "audit_retention_days": "0",
    **sign_in_settings.DEFAULTS,
    "requests_per_second": "1000",
    "request_burst": "5000",
    "client_timeout_seconds": "30",
    "max_connections": "1024",
    "vault_auth": "kubernetes",
    "vault_jwt_file": str(transit.SERVICE_ACCOUNT_TOKEN),
}
_OPTIONAL = (
    "socket",
    "database",
    "master_key_file",
    "master_key_uri",
    "kms_endpoint",
    "vault_token_file",
    "vault_role",
    "vault_namespace",
    "vault_ca_file",
    "allow_networks",
    "oidc_token_file",
    "trusted_proxies",
    "tls_cert",
    "tls_key",
    *sign_in_settings.OPTIONAL,
)
_NAMES = tuple(_DEFAULTS) + _OPTIONAL
_PREFIX = "PULLPASS_"
_MOUNT = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*", re.ASCII)
_MASTER_KEY = "PULLPASS_MASTER_KEY"
_VAULT_TOKEN = "PULLPASS_VAULT_TOKEN"  # noqa: S105 - the name of a variable


class SettingsError(InvalidInput):
    """A setting, or the configuration file, is wrong."""

    default_code = "settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a server process needs to know. Secrets do not show in ``repr``.

    ``master_key_uri``: the remote key that wraps the master key; ``kms_endpoint``: where AWS KMS
    is, if not at the region's own; ``vault_...``: how to come into Vault or OpenBao;
    ``socket``: a Unix socket to listen on instead of host and port; ``ambient_identity``:
    whether records may use the server's own cloud identity; ``oidc_token_file``: the server's
    own OIDC token, for Quay; ``min_credential_seconds``: what is left at least of a short-lived
    credential that is handed out, where its lifetime allows; ``audit_retention_days``: how long
    the audit log is kept, 0 for ever; ``requests_per_second`` and ``request_burst``: what each
    token may do in each process, 0 for no limit; ``client_timeout_seconds``: how long a client may
    take; ``max_connections``: of each worker, at the same time; ``trusted_proxies``: whose
    `X-Forwarded-For` is believed; ``tls_cert`` and ``tls_key``: PEM files, to serve HTTPS;
    ``sign_in``: whom people sign in with, None for tokens alone.
    """

    host: str
    port: int
    data_dir: Path
    workers: int
    log_format: str
    log_level: str
    database: str = field(repr=False)
    master_key_file: Path
    master_key: str | None = field(repr=False)
    master_key_uri: str | None = None
    kms_endpoint: str | None = None
    vault_token: Secret | None = None
    vault_token_file: Path | None = None
    vault_role: str | None = None
    vault_auth: str = "kubernetes"
    vault_jwt_file: Path = transit.SERVICE_ACCOUNT_TOKEN
    vault_namespace: str | None = None
    vault_ca_file: Path | None = None
    allow_networks: tuple[Network, ...] = ()
    ambient_identity: bool = False
    oidc_token_file: Path | None = None
    min_credential_seconds: int = 900
    socket: Path | None = None
    audit_retention_days: int = 0
    requests_per_second: int = 1000
    request_burst: int = 5000
    client_timeout_seconds: int = 30
    max_connections: int = 1024
    trusted_proxies: tuple[Network, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    config: Path | None = None
    sign_in: SignInProvider | None = None


def load(
    options: Mapping[str, str | None], environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings from command line options (None where not given) and the environment.

    Raises:
        SettingsError: lists every setting that is wrong and says where it came from.
    """
    environment = os.environ if environment is None else environment
    config = options.get("config") or environment.get(_PREFIX + "CONFIG") or None
    from_file = _server_table(Path(config)) if config else {}
    values: dict[str, str] = {}
    problems: list[str] = []
    for name in _NAMES:
        variable = _PREFIX + name.upper()
        for source, value in (
            ("--" + name.replace("_", "-"), options.get(name)),
            (variable, environment.get(variable)),
            (f"{config}: [server] {name}", _text(from_file.get(name))),
            ("default", _DEFAULTS.get(name)),
        ):
            if value not in (None, ""):
                values[name] = str(value)
                problems += _problems(name, source, str(value))
                break
    if ("tls_cert" in values) != ("tls_key" in values):
        problems.append("A TLS certificate and its key go together: give both, or neither.")
    if "master_key_uri" in values and ("master_key_file" in values or environment.get(_MASTER_KEY)):
        problems.append(
            "PULLPASS_MASTER_KEY_URI and a master key in a file or in the environment are given: "
            "only one of them can be the one."
        )
    sign_in = None
    if not problems:
        sign_in, problems = sign_in_settings.provider(values, environment)
    if problems:
        raise SettingsError(" ".join(problems))
    data_dir = Path(values["data_dir"]).absolute()
    return Settings(
        host=values["host"],
        port=int(values["port"]),
        data_dir=data_dir,
        workers=int(values["workers"]),
        log_format=values["log_format"],
        log_level=values["log_level"],
        database=values.get("database") or f"sqlite:///{data_dir / 'pullpass.db'}",
        master_key_file=Path(values.get("master_key_file") or data_dir / "master.key"),
        master_key=environment.get(_MASTER_KEY) or None,
        master_key_uri=values.get("master_key_uri"),
        kms_endpoint=values.get("kms_endpoint"),
        vault_token=_secret(environment.get(_VAULT_TOKEN)),
        vault_token_file=_path(values.get("vault_token_file")),
        vault_role=values.get("vault_role"),
        vault_auth=values["vault_auth"],
        vault_jwt_file=Path(values["vault_jwt_file"]).absolute(),
        vault_namespace=values.get("vault_namespace"),
        vault_ca_file=_path(values.get("vault_ca_file")),
        allow_networks=parse_networks(values.get("allow_networks", "")),
        ambient_identity=values["ambient_identity"] == "on",
        oidc_token_file=_path(values.get("oidc_token_file")),
        min_credential_seconds=int(values["min_credential_seconds"]),
        socket=_path(values.get("socket")),
        audit_retention_days=int(values["audit_retention_days"]),
        requests_per_second=int(values["requests_per_second"]),
        request_burst=int(values["request_burst"]),
        client_timeout_seconds=int(values["client_timeout_seconds"]),
        max_connections=int(values["max_connections"]),
        trusted_proxies=parse_networks(values.get("trusted_proxies", "")),
        tls_cert=_path(values.get("tls_cert")),
        tls_key=_path(values.get("tls_key")),
        config=_path(config),
        sign_in=sign_in,
    )


def load_builtins(config: Path | None) -> list[Draft]:
    """The built-in records: the `[[registries]]` tables of the configuration file.

    A record's password is read from the file that `creds.password_file` names.

    Raises:
        SettingsError: a record is not valid; names the record and the field.
    """
    if config is None:
        return []
    tables = _read(config).get("registries", [])
    if not isinstance(tables, list):
        raise SettingsError(f"{config}: 'registries' must be written as [[registries]] tables.")
    found: dict[str, Draft] = {}
    for number, table in enumerate(tables, 1):
        where = f"{config}: [[registries]] number {number}"
        try:
            draft = drafts.parse(_with_password(table, config.parent))
        except InvalidFields as error:
            raise SettingsError(f"{where}: {error.message}") from None
        same = [other.id for other in found.values() if other.prefix == draft.prefix]
        if draft.id in found or same:
            raise SettingsError(f"{where}: the id or the registry is declared twice.")
        found[draft.id] = draft
    return list(found.values())


def _with_password(table: object, folder: Path) -> dict[str, object]:
    if not isinstance(table, dict):
        raise InvalidFields([FieldProblem("registries", "is not a table", "[[registries]]")])
    creds = table.get("creds")
    if not isinstance(creds, dict) or "password_file" not in creds:
        return table
    path = folder / str(creds["password_file"])
    try:
        password = path.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise InvalidFields(
            [FieldProblem("creds.password_file", f"cannot be read: {path}", "a readable file")]
        ) from None
    rest = {name: value for name, value in creds.items() if name != "password_file"}
    return {**table, "creds": {**rest, "password": password}}


def _secret(text: str | None) -> Secret | None:
    text = (text or "").strip()
    return Secret(text) if text else None


def _path(text: str | None) -> Path | None:
    return Path(text).absolute() if text else None


def _text(value: object) -> object:
    """A TOML list as the other sources write it."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _server_table(config: Path) -> Mapping[str, object]:
    document = _read(config)
    unknown = sorted(document.keys() - {"server", "registries"})
    table = document.get("server", {})
    if not isinstance(table, dict):
        raise SettingsError(f"{config}: 'server' must be a table.")
    unknown += sorted(f"server.{name}" for name in table.keys() - set(_NAMES))
    if unknown:
        raise SettingsError(
            f"{config}: unknown: {', '.join(unknown)}. Known are [[registries]] and, under "
            f"[server], {', '.join(_NAMES)}."
        )
    return table


def _read(config: Path) -> dict[str, object]:
    try:
        return tomllib.loads(config.read_text())
    except OSError as error:
        raise SettingsError(
            f"The configuration file {config} cannot be read: {error.strerror}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration file {config} is not TOML: {error}.") from None


def _problems(name: str, source: str, value: str) -> list[str]:
    if name in _CHOICES and value not in _CHOICES[name]:
        return [f"{source} is {value!r}; expected one of {', '.join(_CHOICES[name])}."]
    if name in _NUMBERS:
        lowest, highest = _NUMBERS[name]
        if not (value.isascii() and value.isdecimal() and lowest <= int(value) <= highest):
            return [f"{source} is {value!r}; expected a number from {lowest} to {highest}."]
    if name == "database" and not value.startswith(("sqlite:///", "postgres://", "postgresql://")):
        return [f"{source} must be a URL that starts with sqlite:/// or postgresql://."]
    if name == "master_key_uri" and not value.startswith((aws_kms.SCHEME, *transit.SCHEMES)):
        return [f"{source} is {value!r}; expected {aws_kms.EXPECTED}, or {transit.EXPECTED}."]
    if name == "kms_endpoint" and not value.startswith(("http://", "https://")):
        return [f"{source} is {value!r}; expected an http(s) URL."]
    if name == "vault_auth" and not _MOUNT.fullmatch(value):
        return [f"{source} is {value!r}; expected the mount of an auth method, like kubernetes."]
    if name in ("allow_networks", "trusted_proxies"):
        try:
            parse_networks(value)
        except ValueError as error:
            return [f"{source}: {error}; expected networks like 10.0.0.0/8, fd00::/8."]
    return sign_in_settings.problems(name, source, value)
