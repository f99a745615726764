"""What a pull secret holds, and whether one in the cluster is as it should be."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pullpass.agent.marks import EXPIRES, MANAGED, RECORD, label_value
from pullpass.domain import timestamp
from pullpass.domain.credential import Credential
from pullpass.domain.prefix import RegistryPrefix
from pullpass.formats.docker_config import Grant
from pullpass.formats.pull_secret import kubelet_auths

PULL_SECRET = "kubernetes.io/dockerconfigjson"  # noqa: S105 - the name of a type


@dataclass(frozen=True, slots=True)
class Content:
    """A pull secret without its namespace: ``data`` is in Base64, as Kubernetes has it.

    ``digest`` stands for the whole, so that nothing in memory compares secrets in clear.
    """

    record_id: str
    type: str
    data: Mapping[str, str] = field(repr=False)
    expires: datetime | None = None

    @property
    def labels(self) -> dict[str, str]:
        return {**MANAGED, RECORD: label_value(self.record_id)}

    @property
    def annotations(self) -> dict[str, str]:
        moment = {} if self.expires is None else {EXPIRES: timestamp.render(self.expires)}
        return {RECORD: self.record_id, **moment}

    @property
    def digest(self) -> str:
        return digest(self.type, self.data, self.labels, self.annotations)


def of_credential(record_id: str, prefix: RegistryPrefix, credential: Credential) -> Content:
    """The pull secret with ``credential``, under the key by which kubelets find it."""
    auths = kubelet_auths([Grant.of_record(prefix, credential)])
    text = json.dumps({"auths": auths}, separators=(",", ":"))
    encoded = base64.b64encode(text.encode()).decode()
    return Content(record_id, PULL_SECRET, {".dockerconfigjson": encoded}, credential.expires)


def of_source(record_id: str, kind: str, data: Mapping[str, str]) -> Content:
    """A copy of another secret: its type and data, and nothing else of it.

    With its labels, GitOps tools would take the copy for their own and prune it.
    """
    return Content(record_id, kind, dict(data))


def digest(
    kind: str,
    data: Mapping[str, str],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    owned: Iterable[str] | None = None,
) -> str:
    """Of what the agent writes into a secret, which may hold more: only the keys of ``data`` in
    ``owned`` count (None: all), and only the agent's own labels and annotations.
    """
    keys = set(data if owned is None else owned)
    mine = [
        kind,
        sorted((key, value) for key, value in data.items() if key in keys),
        [labels.get(key) for key in (*MANAGED, RECORD)],
        [annotations.get(key) for key in (RECORD, EXPIRES)],
    ]
    return hashlib.sha256(json.dumps(mine).encode()).hexdigest()
