"""Where ``pullpass login`` puts things: the config file, and the token in the keyring or a file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click

from pullpass.cli.files import replace_file
from pullpass.client.secret import Secret
from pullpass.plugins.keyring import attributes, lookup
from pullpass.plugins.settings import Config, Failed, config_path, read_config

_TOKEN_FILE = "token"  # noqa: S105
_SECONDS = 60


class TokenStore:
    """The config file of a user, and what it refers to.

    Raises:
        click.ClickException: the user has no home, where it could be.
    """

    def __init__(self) -> None:
        path = config_path(os.environ)
        if not path:
            raise click.ClickException("There is no place for it: set HOME, or XDG_CONFIG_HOME.")
        self.path = Path(path)
        self.token_file = self.path.with_name(_TOKEN_FILE)

    def read(self) -> Config | None:
        """What is there; None where nothing is, an empty one where it cannot be read."""
        try:
            config = read_config(str(self.path))
        except Failed:
            return Config(str(self.path))
        return config if config.path else None

    def write(
        self, url: str, organization: str, token: Secret, ca_bundle: str | None, *, keyring: bool
    ) -> bool:
        """Put all of it in place of what was there; whether the keyring has the token.

        Raises:
            click.ClickException: it cannot be written.
        """
        before = self.read()
        values: dict[str, str | float | bool] = {"url": url, "org": organization}
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(f"{str(self.path.parent)!r}: {error.strerror}.") from None
        in_keyring = keyring and _keep(url, organization, token)
        if in_keyring:
            values["token_store"] = "keyring"  # noqa: S105
        else:
            replace_file(self.token_file, token.reveal().encode(), mode=0o600)
            values["token_file"] = _TOKEN_FILE
        if ca_bundle is not None:
            values["ca_bundle"] = os.path.abspath(ca_bundle)
        # What a person wrote there stays.
        for name in ("timeout", "cache"):
            if before is not None and (given := getattr(before, name)) is not None:
                values[name] = given
        replace_file(self.path, _toml(values), mode=0o600)
        if in_keyring:
            self.token_file.unlink(missing_ok=True)
        if not in_keyring or (before and (before.url, before.org) != (url, organization)):
            _forget(before)
        return in_keyring

    def remove(self) -> Config | None:
        """Remove it all, and say what there was; None where there was nothing.

        Raises:
            click.ClickException: it cannot be removed.
        """
        before = self.read()
        try:
            is_there = self.token_file.exists()
            self.token_file.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise click.ClickException(f"{error.filename!r}: {error.strerror}.") from None
        _forget(before)
        return before or (Config() if is_there else None)


def _keep(url: str, organization: str, token: Secret) -> bool:
    """Whether the keyring took the token, and gives it back."""
    label = f"--label=Pullpass: {organization} at {url}"
    if not _secret_tool("store", label, *attributes(url, organization), stdin=token):
        return False
    try:
        return Secret(lookup(url, organization).strip()) == token
    except Failed:
        return False


def _forget(config: Config | None) -> None:
    if config is not None and config.token_store and config.url and config.org:
        _secret_tool("clear", *attributes(config.url, config.org))


def _secret_tool(*arguments: str, stdin: Secret | None = None) -> bool:
    """Whether there is a keyring, and it did so. The token goes by stdin, not by an argument."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no secret among the arguments
            ["secret-tool", *arguments],  # noqa: S607
            input=b"" if stdin is None else stdin.reveal().encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _toml(values: dict[str, str | float | bool]) -> bytes:
    lines = ["# Written by pullpass login."]
    for name, value in values.items():
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            text = f'"{escaped}"'
        else:
            text = str(value)
        lines.append(f"{name} = {text}")
    return ("\n".join(lines) + "\n").encode()
