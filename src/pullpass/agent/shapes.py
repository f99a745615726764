"""What the agent reads of the objects that it watches: little, and forgiving.

Of a pod in a watch a few hundred bytes are kept, and the rest is never made into objects. All
fields may be absent or null, as they are in a bookmark, where lightkube's own models refuse.
"""

from __future__ import annotations

from typing import Any

import msgspec
from lightkube.core.resource import GlobalResource, NamespacedResourceG
from lightkube.resources import apps_v1, batch_v1, core_v1


class Shape(msgspec.Struct, rename="camel"):
    pass


class ManagedFields(Shape):
    manager: str | None = None
    operation: str | None = None
    fields_v1: dict[str, Any] | None = msgspec.field(default=None, name="fieldsV1")


class Metadata(Shape):
    name: str | None = None
    namespace: str | None = None
    resourceVersion: str | None = None  # noqa: N815 - lightkube reads it by this name
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managed_fields: list[ManagedFields] | None = None


class Container(Shape):
    image: str | None = None


class ImageVolume(Shape):
    reference: str | None = None


class Volume(Shape):
    image: ImageVolume | None = None


class PodSpec(Shape):
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None
    volumes: list[Volume] | None = None


class PodStatus(Shape):
    phase: str | None = None


class PodTemplate(Shape):
    spec: PodSpec | None = None


class TemplateSpec(Shape):
    template: PodTemplate | None = None


class JobTemplate(Shape):
    spec: TemplateSpec | None = None


class CronJobSpec(Shape):
    job_template: JobTemplate | None = None


class Reference(Shape):
    name: str | None = None


class Watched(Shape, kw_only=True):
    metadata: Metadata


class Namespace(GlobalResource, Watched):
    _api_info = core_v1.Namespace._api_info


class Pod(NamespacedResourceG, Watched, kw_only=True):
    _api_info = core_v1.Pod._api_info
    spec: PodSpec | None = None
    status: PodStatus | None = None


class Templated(Watched, kw_only=True):
    """What makes pods of a template."""

    spec: TemplateSpec | None = None


class Deployment(NamespacedResourceG, Templated):
    _api_info = apps_v1.Deployment._api_info


class StatefulSet(NamespacedResourceG, Templated):
    _api_info = apps_v1.StatefulSet._api_info


class DaemonSet(NamespacedResourceG, Templated):
    _api_info = apps_v1.DaemonSet._api_info


class Job(NamespacedResourceG, Templated):
    _api_info = batch_v1.Job._api_info


class CronJob(NamespacedResourceG, Watched, kw_only=True):
    _api_info = batch_v1.CronJob._api_info
    spec: CronJobSpec | None = None


class Secret(NamespacedResourceG, Watched, kw_only=True):
    _api_info = core_v1.Secret._api_info
    type: str | None = None
    data: dict[str, str] | None = None


class ServiceAccount(NamespacedResourceG, Watched, kw_only=True):
    _api_info = core_v1.ServiceAccount._api_info
    image_pull_secrets: list[Reference] | None = None
