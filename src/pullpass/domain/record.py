"""Registry records: what they hold.

A :class:`Record` is what every member may see: no credential is in it. The field names are
those of the reference document. How one comes to be is in ``pullpass.domain.draft``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.probe import Status
from pullpass.domain.record_types import RecordType

# The reference document's pattern, and a length that leaves room for the name of a pull secret.
ID_PATTERN = r"^[a-z0-9][a-z0-9-]+[a-z0-9]$"
ID_LENGTH = 100
ID_EXPECTED = "3 to 100 lower-case letters, digits and hyphens, no hyphen first or last"
ANY_CLUSTER = "*"

_ID = re.compile(ID_PATTERN[1:-1])
CLUSTER_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_CLUSTER = re.compile(CLUSTER_PATTERN[1:-1])
CLUSTER_EXPECTED = "'*' or 1 to 63 letters, digits, '-', '_' and '.'"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A Kubernetes secret to copy: the namespace where it stands, and its name."""

    namespace: str
    secret: str


Secrets = Mapping[str, SecretReference]


@dataclass(frozen=True, slots=True)
class Record:
    """A registry record without its credentials. ``version`` changes with every write;
    ``status`` is of the last check of that version, where somebody asks for it.
    """

    id: str
    registry: str
    prefix: RegistryPrefix
    type: RecordType
    enable_ci: bool
    secrets: Secrets | None
    options: Mapping[str, str] | None
    created_at: datetime | None
    created_by: str | None
    version: int = 0
    builtin: bool = False
    status: Status | None = None

    def secrets_for(self, cluster: str) -> Secrets:
        """The one entry that holds for ``cluster``: its own, else `*`, else none."""
        for key in (cluster, ANY_CLUSTER):
            if self.secrets and key in self.secrets:
                return {key: self.secrets[key]}
        return {}


class Health(StrEnum):
    """What the last check says of a record."""

    WORKING = "working"
    FAILING = "failing"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records are asked for: those with ``text`` in their id, registry or type, whatever
    its case (of A to Z), and with that health.
    """

    text: str = ""
    health: Health | None = None

    def takes(self, record: Record) -> bool:
        text = self.text.lower()
        found = any(text in part.lower() for part in (record.id, record.registry, record.type))
        return found and self.health in (None, health_of(record))


EVERY_RECORD = RecordFilter()


def health_of(record: Record) -> Health:
    if record.status is None:
        return Health.UNCHECKED
    return Health.WORKING if record.status.ok else Health.FAILING


def is_id(text: str) -> bool:
    return len(text) <= ID_LENGTH and _ID.fullmatch(text) is not None


def is_cluster_name(text: str) -> bool:
    return _CLUSTER.fullmatch(text) is not None
