"""Kinds of option values that click does not have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pullpass.client.models import SecretReferenceFields

if TYPE_CHECKING:
    MomentType = click.ParamType[datetime]
    SecretType = click.ParamType[tuple[str, SecretReferenceFields]]
    AddressType = click.ParamType[tuple[str, int]]
else:
    # Subscripting is for the type checker: older releases of click do not have it.
    MomentType = SecretType = AddressType = click.ParamType


class Moment(MomentType):
    """A time or a date; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is no time; expected one like 2030-01-31T12:00:00Z or 2030-01-31.",
                param,
                ctx,
            )
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class SecretOption(SecretType):
    """CLUSTER=NAMESPACE/NAME: the Kubernetes secret to copy for a cluster, or for all (`*`)."""

    name = "cluster=namespace/name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, SecretReferenceFields]:
        cluster, _, reference = str(value).partition("=")
        namespace, _, secret = reference.partition("/")
        if not (cluster and namespace and secret):
            self.fail(
                f"{value!r} is not of the form CLUSTER=NAMESPACE/NAME "
                "(as CLUSTER, * means every cluster).",
                param,
                ctx,
            )
        return cluster, {"namespace": namespace, "secret": secret}


class Address(AddressType):
    """HOST:PORT, with an IPv6 address in brackets; without a host, on all addresses."""

    name = "host:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        host, colon, port = str(value).rpartition(":")
        if not (colon and port.isascii() and port.isdecimal() and 0 < int(port[:9]) < 65536):
            self.fail(f"{value!r} is not of the form HOST:PORT.", param, ctx)
        return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104
