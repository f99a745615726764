"""The names that the agent gives, and the marks by which it knows what is its own."""

from __future__ import annotations

import hashlib

# The field manager of every write: https://kubernetes.io/docs/reference/using-api/server-side-apply/
MANAGER = "pullpass-agent"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED = {MANAGED_BY: MANAGER}
# As a label for selectors, and in full as an annotation: ids may be longer than label values.
RECORD = "pullpass.dev/record"
EXPIRES = "pullpass.dev/expires"
# On a service account: the entries of imagePullSecrets that are the agent's.
ATTACHED = "pullpass.dev/attached"
# On a namespace, as a label or an annotation.
OPT_OUT = "pullpass.dev/agent"
DISABLED = "disabled"
_LONGEST_LABEL = 63


def secret_name(record_id: str) -> str:
    return f"regcred-{record_id}"


def label_value(record_id: str) -> str:
    """``record_id``, or what fits into a label: its beginning, and a digest of the whole."""
    if len(record_id) <= _LONGEST_LABEL:
        return record_id
    digest = hashlib.sha256(record_id.encode()).hexdigest()[:16]
    return f"{record_id[: _LONGEST_LABEL - 17]}-{digest}"
