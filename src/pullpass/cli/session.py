"""Which server, which organization, which token: the settings of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pullpass.client.secret import Secret

if TYPE_CHECKING:
    from pullpass.client.sync import Client


@dataclass(frozen=True, slots=True)
class Session:
    """What the global options say. Nothing is asked of it before a command needs it."""

    url: str | None
    organization: str | None
    token_file: str | None
    ca_bundle: str | None
    timeout: float

    def client(self, *, needs_organization: bool = True, needs_token: bool = True) -> Client:
        """A client for these settings; where it needs no token, it has none.

        Raises:
            click.UsageError: a setting is missing.
        """
        # The HTTP library is most of the start-up time.
        from pullpass.client.sync import Client

        if not self.url:
            raise click.UsageError("Which server? Set PULLPASS_URL, or give --url.")
        if needs_organization and not self.organization:
            raise click.UsageError("Which organization? Set PULLPASS_ORG, or give --org.")
        return Client(
            self.url,
            self.organization or None,
            self._token() if needs_token else None,
            timeout=self.timeout,
            ca_bundle=self.ca_bundle or None,
        )

    def _token(self) -> Secret:
        """The option first, then PULLPASS_TOKEN, then PULLPASS_TOKEN_FILE."""
        token = os.environ.get("PULLPASS_TOKEN")
        if token and not self.token_file:
            return Secret(token)
        path = self.token_file or os.environ.get("PULLPASS_TOKEN_FILE")
        if not path:
            raise click.UsageError(
                "No token. Set PULLPASS_TOKEN or PULLPASS_TOKEN_FILE, or give --token-file."
            )
        try:
            with open(path, encoding="utf-8") as file:
                return Secret(file.read())
        except OSError as error:
            raise click.UsageError(f"The token file {path!r}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise click.UsageError(f"The token file {path!r} is not text.") from None
