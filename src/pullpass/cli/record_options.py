"""The options that describe a registry record, and the fields they make."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

import click

from pullpass.cli.parameters import Moment, SecretOption
from pullpass.cli.secrets_input import read_file, read_secret
from pullpass.client.errors import BadRequest
from pullpass.client.models import CredsFields, RegistryFields, SecretReferenceFields
from pullpass.client.secret import Secret

Command = TypeVar("Command", bound=Callable[..., Any])

_TYPES = (
    "public, basic, amazon_ecr, google_gcr, azure_acr, quay_robot, gitlab_deploy_token, secret_ref"
)
# What the server may find wrong, and what of the command line mends it.
_MISSING = {
    ("creds", "is missing"): "Give --username, and --password-stdin or --password-file.",
    ("secrets", "is missing"): "Give --secret.",
    ("options", "is missing"): "Options are written with --file.",
}
_STORED = {
    ("creds", "is given"): "To remove it: --clear-creds.",
    ("secrets", "is given"): "To remove them: --clear-secrets.",
}
_OPTIONS = (
    click.option("--registry", metavar="PREFIX", help="DOMAIN or DOMAIN/PROJECT to match."),
    click.option("--type", metavar="TYPE", help=f"How to log in: {_TYPES}."),
    click.option("--username", metavar="USER", help="User name or access key id."),
    click.option("--password-stdin", is_flag=True, help="Read the password or key from stdin."),
    click.option("--password-file", metavar="FILE", help="Read the password or key from a file."),
    click.option(
        "--expires", type=Moment(), metavar="TIME", help="When the password ends, in UTC."
    ),
    click.option(
        "--secret",
        type=SecretOption(),
        multiple=True,
        metavar="CLUSTER=NAMESPACE/NAME",
        help="A Kubernetes secret to copy, for a cluster or for all (*). May be repeated.",
    ),
    click.option(
        "--enable-ci/--no-enable-ci", default=None, help="Whether CI may have the credential."
    ),
    click.option(
        "-f",
        "--file",
        metavar="FILE",
        help="The whole record as JSON, instead of the options above; - is stdin.",
    ),
)


def record_options(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """The options as click parsed them."""

    registry: str | None
    type: str | None
    username: str | None
    password_stdin: bool
    password_file: str | None
    expires: datetime | None
    secret: tuple[tuple[str, SecretReferenceFields], ...]
    enable_ci: bool | None
    file: str | None
    clear_creds: bool = False
    clear_secrets: bool = False

    def fields(self) -> tuple[RegistryFields, str | None]:
        """What the options say, and the ETag of the record in ``--file`` where it holds one.

        Raises:
            click.UsageError: the options contradict each other, or a file cannot be used.
        """
        if self.file is not None:
            if self._options_given():
                raise click.UsageError("Give --file or the other options, not both.")
            return read_record(self.file)
        fields: RegistryFields = {}
        if self.registry is not None:
            fields["registry"] = self.registry
        if self.type is not None:
            fields["type"] = self.type
        if self.enable_ci is not None:
            fields["enable_ci"] = self.enable_ci
        if (creds := self._creds()) is not None:
            fields["creds"] = creds
        if self.clear_creds:
            if creds is not None:
                raise click.UsageError("Give --clear-creds or a new credential, not both.")
            fields["creds"] = None
        if self.secret:
            fields["secrets"] = self._secrets()
        if self.clear_secrets:
            if self.secret:
                raise click.UsageError("Give --clear-secrets or --secret, not both.")
            fields["secrets"] = None
        return fields, None

    @contextmanager
    def named(self, *, stored: bool = False) -> Iterator[None]:
        """Within it, a BadRequest says which options mend what is wrong; ``stored``: with what
        the record may hold already.

        Raises:
            click.ClickException: in place of such a BadRequest.
        """
        try:
            yield
        except BadRequest as error:
            known = _MISSING | _STORED if stored else _MISSING
            hints = [
                hint
                for (name, problem), hint in known.items()
                if any(
                    each.field.partition(".")[0] == name and each.problem.startswith(problem)
                    for each in error.fields
                )
            ]
            if self.file is not None or not hints:
                raise
            raise click.ClickException(" ".join([error.message, *hints])) from None

    def _creds(self) -> CredsFields | None:
        if self.username is None:
            if self.password_stdin or self.password_file is not None or self.expires is not None:
                raise click.UsageError(
                    "A credential is written as a whole: give --username with the password."
                )
            return None
        password = read_secret("Password", from_stdin=self.password_stdin, file=self.password_file)
        creds: CredsFields = {"username": self.username, "password": password}
        if self.expires is not None:
            creds["expires"] = self.expires
        return creds

    def _secrets(self) -> dict[str, SecretReferenceFields]:
        secrets = dict(self.secret)
        if len(secrets) < len(self.secret):
            raise click.UsageError("Give --secret once for each cluster.")
        return secrets

    def _options_given(self) -> bool:
        return bool(
            self.registry is not None
            or self.type is not None
            or self.username is not None
            or self.password_stdin
            or self.password_file is not None
            or self.expires is not None
            or self.secret
            or self.enable_ci is not None
            or self.clear_creds
            or self.clear_secrets
        )


def read_record(file: str) -> tuple[RegistryFields, str | None]:
    """A record from a JSON file, and its ETag where ``get --output json`` wrote one there.

    What the fields may hold is for the server to say: it knows more types than this program.

    Raises:
        click.UsageError: the file cannot be read, or is no JSON object. Nothing of it is shown.
    """
    where = "The record on stdin" if file == "-" else f"The record in {file!r}"
    try:
        record: object = json.loads(read_file(file))
    except json.JSONDecodeError as error:
        raise click.UsageError(
            f"{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise click.UsageError(f"{where} is not JSON.") from None
    if not isinstance(record, dict):
        raise click.UsageError(f"{where} is JSON, but not an object.")
    etag = record.pop("etag", None)
    creds = record.get("creds")
    if isinstance(creds, dict) and isinstance(creds.get("password"), str):
        creds["password"] = Secret(creds["password"])
    return cast("RegistryFields", record), etag if isinstance(etag, str) else None
