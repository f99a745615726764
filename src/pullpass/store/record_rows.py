"""A registry record as the columns of its row, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, type_coerce

from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.record import Record, SecretReference, Secrets
from pullpass.domain.record_types import RecordType
from pullpass.store.schema import moment, records

# All but the sealed credential, as `record_of` takes them.
COLUMNS = (
    records.c.id,
    records.c.registry,
    records.c.prefix,
    records.c.type,
    records.c.enable_ci,
    records.c.secrets,
    records.c.options,
    type_coerce(records.c.created_at, BigInteger).label("created_at"),
    records.c.created_by,
    records.c.version,
)


def changeable(record: Record, sealed: bytes | None) -> dict[str, object]:
    """The columns that a change of a record may change, besides its version."""
    return {
        "registry": record.registry,
        "prefix": str(record.prefix),
        "type": record.type.value,
        "enable_ci": record.enable_ci,
        "secrets": _secrets_json(record.secrets),
        "options": None if record.options is None else json.dumps(dict(record.options)),
        "sealed_creds": sealed,
    }


def record_of(values: Sequence[Any]) -> Record:
    """The record of which these are the `COLUMNS`."""
    record_id, registry, prefix, kind, enable_ci, secrets, options, *last = values
    created_at, created_by, version = last
    return Record(
        id=record_id,
        registry=registry,
        # Most often the same text, which is then kept once.
        prefix=RegistryPrefix.normalized(registry if registry == prefix else prefix),
        type=RecordType(kind),
        enable_ci=bool(enable_ci),
        secrets=_secrets(secrets),
        options=_options(options),
        created_at=moment(created_at),
        created_by=None if created_by is None else _shared(created_by),
        version=version,
    )


@lru_cache(maxsize=10_000)
def _shared(text: str) -> str:
    """One object for equal texts, where many records have them."""
    return text


def _secrets_json(secrets: Secrets | None) -> str | None:
    if secrets is None:
        return None
    return json.dumps({cluster: [ref.namespace, ref.secret] for cluster, ref in secrets.items()})


def _secrets(text: str | None) -> Secrets | None:
    if text is None:
        return None
    return MappingProxyType(
        {cluster: SecretReference(*reference) for cluster, reference in json.loads(text).items()}
    )


def _options(text: str | None) -> Mapping[str, str] | None:
    return None if text is None else MappingProxyType(json.loads(text))
