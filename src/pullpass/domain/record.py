"""Registry records: what they hold.

A :class:`Record` is what every member may see: no credential is in it. The field names are
those of the reference document. How one comes to be is in ``pullpass.domain.draft``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

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


def is_id(text: str) -> bool:
    return len(text) <= ID_LENGTH and _ID.fullmatch(text) is not None


def is_cluster_name(text: str) -> bool:
    return _CLUSTER.fullmatch(text) is not None
