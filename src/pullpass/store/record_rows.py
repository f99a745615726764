"""A registry record as the columns of its row, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row

from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.record import Record, SecretReference, Secrets
from pullpass.domain.record_types import RecordType


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


def record_of(row: Row[*tuple[Any, ...]]) -> Record:
    """The record in a row that has all columns but the sealed credential."""
    return Record(
        id=row.id,
        registry=row.registry,
        prefix=RegistryPrefix.parse(row.prefix),
        type=RecordType(row.type),
        enable_ci=row.enable_ci,
        secrets=_secrets(row.secrets),
        options=_options(row.options),
        created_at=row.created_at,
        created_by=row.created_by,
        version=row.version,
    )


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
