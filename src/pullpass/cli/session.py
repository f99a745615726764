"""Which server, which organization, which token: the settings of a run.

The options and the environment first, then what ``pullpass login`` wrote, one by one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pullpass.client.secret import Secret
from pullpass.plugins.settings import Config, Failed, config_path, read_config

if TYPE_CHECKING:
    from pullpass.client.aio import AsyncClient
    from pullpass.client.sync import Client

DEFAULT_TIMEOUT = 30.0
_LONGEST_WAIT = 70.0


@dataclass(frozen=True, slots=True)
class Session:
    """What the global options say. Nothing is asked of it before a command needs it.

    ``timeout`` is in seconds, None where nobody said.
    """

    url: str | None
    organization: str | None
    token_file: str | None
    ca_bundle: str | None
    timeout: float | None

    def client(self, *, needs_organization: bool = True, needs_token: bool = True) -> Client:
        """A client for these settings; where it needs no token, it has none.

        Raises:
            click.UsageError: a setting is missing.
        """
        # The HTTP library is most of the start-up time.
        from pullpass.client.sync import Client

        config = self._config()
        url, organization = self._place(config, needs_organization)
        return Client(
            url,
            organization,
            self._token(config, url, organization or "") if needs_token else None,
            timeout=self.seconds,
            ca_bundle=self.ca_bundle or config.ca_bundle,
        )

    def async_client(self, identity_file: str | None = None) -> AsyncClient:
        """A client whose calls are awaited; the token is read anew, or with ``identity_file``
        exchanged for the identity token there.

        It waits longer than a server that waits for changes.

        Raises:
            click.UsageError: a setting is missing.
            ClientError: the identity token is not taken.
        """
        from pullpass.client.aio import AsyncClient

        config = self._config()
        url, organization = self._place(config, needs_organization=True)
        if identity_file is None:
            token = self._token(config, url, organization or "")
        else:
            with self.client(needs_token=False) as client:
                token = client.exchange_token(_read(identity_file)).access_token
        return AsyncClient(
            url,
            organization,
            token,
            timeout=max(self.seconds, _LONGEST_WAIT),
            ca_bundle=self.ca_bundle or config.ca_bundle,
        )

    def _place(self, config: Config, needs_organization: bool) -> tuple[str, str | None]:
        """The server's address and the organization, where there is what is needed."""
        url, organization = self.url or config.url, self.organization or config.org
        if not url:
            raise click.UsageError(
                "Which server? Set PULLPASS_URL, give --url, or log in: pullpass login."
            )
        if needs_organization and not organization:
            raise click.UsageError(
                "Which organization? Set PULLPASS_ORG, give --org, or log in: pullpass login."
            )
        return url, organization or None

    @property
    def own_organization(self) -> str | None:
        """The organization's id, where it was said or kept by a login."""
        return self.organization or self._config().org

    @property
    def seconds(self) -> float:
        """How long to wait for an answer."""
        return self.timeout or self._config().timeout or DEFAULT_TIMEOUT

    def _config(self) -> Config:
        try:
            return read_config(config_path(os.environ))
        except Failed as error:
            raise click.UsageError(f"{error}.") from None

    def _token(self, config: Config, url: str, organization: str) -> Secret:
        """The option first, then PULLPASS_TOKEN, then PULLPASS_TOKEN_FILE, then the login's."""
        token = os.environ.get("PULLPASS_TOKEN")
        if token and not self.token_file:
            return Secret(token)
        path = self.token_file or os.environ.get("PULLPASS_TOKEN_FILE")
        if not path and (config.token_file or config.token_store):
            if config.url and url.rstrip("/") != config.url.rstrip("/"):
                raise click.UsageError(
                    f"The login is for {config.url}, and its token is not sent to {url}: log in "
                    "there, or set PULLPASS_TOKEN."
                )
            if config.token_store:
                return _from_keyring(url, config.org or organization)
            path = config.token_file
        if not path:
            raise click.UsageError(
                "No token. Set PULLPASS_TOKEN or PULLPASS_TOKEN_FILE, give --token-file, or log "
                "in: pullpass login."
            )
        return _read(path)


def _read(path: str) -> Secret:
    """The token in a file."""
    try:
        with open(path, encoding="utf-8") as file:
            return Secret(file.read().strip())
    except OSError as error:
        raise click.UsageError(f"The token file {path!r}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"The token file {path!r} is not text.") from None


def _from_keyring(url: str, organization: str) -> Secret:
    from pullpass.plugins.keyring import lookup

    try:
        return Secret(lookup(url, organization).strip())
    except Failed as error:
        raise click.UsageError(f"{error}.") from None
