"""What the API server asks of a pod that is created, and what it is told: pure.

After https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/.
A pod's ``imagePullSecrets`` cannot be changed once it is there. A kubelet goes on without a secret
that is not there yet, and tries again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from pullpass.agent.shapes import Metadata, PodSpec, Reference, Shape

API_VERSION = "admission.k8s.io/v1"
_KIND = "AdmissionReview"
# A node may not make the mirror of a static pod that names a secret: with one it would be refused
# (k8s.io/kubernetes/plugin/pkg/admission/noderestriction).
_MIRROR = "kubernetes.io/config.mirror"


class Malformed(Exception):
    """The request is no review of the version that is understood; the message says why."""


class AdmittedSpec(PodSpec):
    image_pull_secrets: list[Reference] | None = None


class AdmittedPod(Shape):
    metadata: Metadata | None = None
    spec: AdmittedSpec | None = None

    @property
    def is_mirror(self) -> bool:
        return self.metadata is not None and _MIRROR in (self.metadata.annotations or {})


class Resource(Shape):
    group: str | None = None
    resource: str | None = None


class Request(Shape, kw_only=True):
    uid: str
    operation: str | None = None
    namespace: str | None = None
    resource: Resource | None = None
    sub_resource: str | None = None
    object: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def creates_pod(self) -> bool:
        resource = self.resource or Resource()
        return (
            self.operation == "CREATE"
            and (resource.group or "", resource.resource) == ("", "pods")
            and not self.sub_resource
        )


class _Review(Shape):
    api_version: str | None = None
    kind: str | None = None
    request: Request | None = None


_reviews = msgspec.json.Decoder(_Review)
_pods = msgspec.json.Decoder(AdmittedPod)


def read(body: bytes) -> Request:
    """The request in an AdmissionReview.

    Raises:
        Malformed: it is none.
    """
    try:
        found = _reviews.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is no {_KIND}: {error}.") from None
    if (found.api_version, found.kind) != (API_VERSION, _KIND):
        raise Malformed(f"The body is no {_KIND} of {API_VERSION}.")
    if found.request is None:
        raise Malformed("The review has no request.")
    return found.request


def read_pod(request: Request) -> AdmittedPod:
    """The pod that is created.

    Raises:
        Malformed: it is none.
    """
    try:
        return _pods.decode(request.object)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The object is no pod: {error}.") from None


def patch(pod: AdmittedPod, names: Iterable[str]) -> list[dict[str, Any]]:
    """The JSON patch (RFC 6902) that adds those of ``names`` that the pod lacks; what is there
    stays as it is. Empty where nothing is missing.
    """
    if pod.spec is None or pod.is_mirror:
        return []
    there = pod.spec.image_pull_secrets
    missing = sorted(set(names) - {each.name for each in there or ()})
    if not missing:
        return []
    path = "/spec/imagePullSecrets"
    if there is None:
        return [{"op": "add", "path": path, "value": [{"name": name} for name in missing]}]
    return [{"op": "add", "path": f"{path}/-", "value": {"name": name}} for name in missing]


def allowed(request: Request, operations: list[dict[str, Any]]) -> bytes:
    """The answer: yes, with this patch."""
    response: dict[str, Any] = {"uid": request.uid, "allowed": True}
    if operations:
        encoded = base64.b64encode(json.dumps(operations).encode()).decode()
        response |= {"patchType": "JSONPatch", "patch": encoded}
    return json.dumps({"apiVersion": API_VERSION, "kind": _KIND, "response": response}).encode()
