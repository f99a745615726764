"""What the agent keeps in memory of each object of the cluster: less still than it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pullpass.agent.content import digest
from pullpass.agent.marks import ATTACHED, DISABLED, MANAGER, OPT_OUT, RECORD
from pullpass.agent.plan import AccountState, SecretState
from pullpass.agent.shapes import (
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Namespace,
    Pod,
    PodSpec,
    Secret,
    ServiceAccount,
    StatefulSet,
    Templated,
)

Images = frozenset[str]
_ENDED = ("Succeeded", "Failed")
# Kubernetes' other types are identities, keys of servers, logins: who writes a record in Pullpass
# must not get those out of a cluster.
COPIED_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg", "Opaque")
# What is no longer in use is not known here: now and then the sharing begins anew.
_MOST_SHARED = 20_000


@dataclass(frozen=True, slots=True)
class Source:
    """A secret that others are copied from."""

    type: str
    data: tuple[tuple[str, str], ...]


def name_like(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name is like one of ``patterns``, as shells have them."""
    fixed = tuple(patterns)
    return lambda name: any(fnmatchcase(name, pattern) for pattern in fixed)


def namespace_served(excluded: Iterable[str]) -> Callable[[Namespace], bool | None]:
    """True for a namespace that the agent looks after, None for others: those whose name is like
    one of ``excluded``, that opted out, or that are about to go.
    """
    is_excluded = name_like(excluded)

    def served(found: Namespace) -> bool | None:
        name = found.metadata.name or ""
        marks = (found.metadata.labels or {}, found.metadata.annotations or {})
        if (
            is_excluded(name)
            or any(each.get(OPT_OUT) == DISABLED for each in marks)
            or found.metadata.deletion_timestamp is not None
        ):
            return None
        return True

    return served


def secret_state(found: Secret) -> SecretState | None:
    """What the agent has to know of a secret; None where it is being deleted."""
    if found.metadata.deletion_timestamp is not None:
        return None
    labels, annotations = found.metadata.labels or {}, found.metadata.annotations or {}
    kind = found.type or "Opaque"
    owned = set(owned_data(found))
    content = digest(kind, found.data or {}, labels, annotations, owned)
    record_id = annotations.get(RECORD) or labels.get(RECORD) or ""
    return SecretState(record_id, kind, content)


def owned_data(found: Secret) -> Iterator[str]:
    """The keys of the data that the agent has written last, as the server keeps account of it."""
    for entry in found.metadata.managed_fields or ():
        if entry.manager == MANAGER and entry.operation == "Apply":
            data = (entry.fields_v1 or {}).get("f:data", {})
            yield from (key.removeprefix("f:") for key in data if key != ".")


def is_ours(found: Secret) -> bool:
    """Whether the agent has ever applied it."""
    return any(entry.manager == MANAGER for entry in found.metadata.managed_fields or ())


def account_state(found: ServiceAccount) -> AccountState | None:
    """What the agent has to know of an account; None where it is being deleted."""
    if found.metadata.deletion_timestamp is not None:
        return None
    attached = (found.metadata.annotations or {}).get(ATTACHED, "")
    return AccountState(
        found.metadata.resourceVersion or "",
        tuple(each.name for each in found.image_pull_secrets or () if each.name),
        frozenset(name for name in attached.split(",") if name),
    )


def source(found: Secret) -> Source | None:
    """Of a type that is not copied nothing is kept but that."""
    kind = found.type or "Opaque"
    data = found.data if kind in COPIED_TYPES else None
    return Source(kind, tuple(sorted((data or {}).items())))


def images_of(spec: PodSpec | None) -> Images:
    """All that its containers run, of every kind, and that its volumes hold."""
    if spec is None:
        return frozenset()
    kinds = (spec.containers, spec.init_containers, spec.ephemeral_containers)
    names = {container.image for kind in kinds for container in kind or ()}
    names |= {volume.image.reference for volume in spec.volumes or () if volume.image}
    return frozenset(name for name in names if name)


class ImageReader:
    """The images of pods and pod templates; equal sets share one place in memory."""

    def __init__(self) -> None:
        self._seen: dict[Images, Images] = {}

    def pod(self, found: Pod) -> Images | None:
        if found.status is not None and found.status.phase in _ENDED:
            return None
        return self._of(found.spec)

    def template(self, found: Templated) -> Images | None:
        template = None if found.spec is None else found.spec.template
        return None if template is None else self._of(template.spec)

    def cron_job(self, found: CronJob) -> Images | None:
        job = None if found.spec is None else found.spec.job_template
        template = None if job is None or job.spec is None else job.spec.template
        return None if template is None else self._of(template.spec)

    def _of(self, spec: PodSpec | None) -> Images | None:
        images = images_of(spec)
        if not images:
            return None
        if len(self._seen) >= _MOST_SHARED:
            self._seen.clear()
        return self._seen.setdefault(images, images)


def workloads(reader: ImageReader) -> Mapping[Any, Callable[[Any], Images | None]]:
    """Every kind that says which images a namespace runs. Not ReplicaSets: those in use have pods,
    and the others are a Deployment's past.
    """
    return {
        Pod: reader.pod,
        Deployment: reader.template,
        StatefulSet: reader.template,
        DaemonSet: reader.template,
        Job: reader.template,
        CronJob: reader.cron_job,
    }
