"""What the webhook says of a pod, and the certificates it makes for itself."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from pullpass.agent.kube import label_selector, selects
from pullpass.agent.objects import images_of
from pullpass.agent.webhook import certificates, review
from tests.parts.kube_apply import patch_json

LIFE = timedelta(days=90)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def body(pod: dict[str, Any] | None, **request: Any) -> bytes:
    made = {
        "uid": "7",
        "operation": "CREATE",
        "namespace": "web",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": pod,
        **request,
    }
    return json.dumps(
        {"apiVersion": review.API_VERSION, "kind": "AdmissionReview", "request": made}
    ).encode()


def patched(pod: dict[str, Any], *names: str) -> dict[str, Any]:
    """The pod as the API server would have it after the answer."""
    request = review.read(body(pod))
    answer = json.loads(review.allowed(request, review.patch(review.read_pod(request), names)))
    response = answer["response"]
    assert (answer["apiVersion"], answer["kind"]) == (review.API_VERSION, "AdmissionReview")
    assert (response["uid"], response["allowed"]) == ("7", True)
    if "patch" not in response:
        return pod
    assert response["patchType"] == "JSONPatch"
    return patch_json(pod, json.loads(base64.b64decode(response["patch"])))


@pytest.mark.parametrize(
    ("there", "names", "wanted"),
    [
        (None, ("b", "a"), ["a", "b"]),
        ([], ("a",), ["a"]),
        (["theirs"], ("a",), ["theirs", "a"]),
        (["b", "theirs"], ("a", "b"), ["b", "theirs", "a"]),
        (["a"], ("a",), ["a"]),
        (["theirs"], (), ["theirs"]),
    ],
)
def test_what_is_missing_is_added_and_what_is_there_stays(
    there: list[str] | None, names: tuple[str, ...], wanted: list[str]
) -> None:
    spec = {} if there is None else {"imagePullSecrets": [{"name": name} for name in there]}
    found = patched({"spec": {"containers": [], **spec}}, *names)
    assert [each["name"] for each in found["spec"]["imagePullSecrets"]] == wanted


def test_nothing_is_changed_where_nothing_is_needed_or_may_be() -> None:
    plain = {"spec": {"containers": [{"image": "nginx"}]}}
    assert patched(plain) == plain
    mirror = {**plain, "metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}
    assert patched(mirror, "a") == mirror
    assert patched({}, "a") == {}
    null = {"spec": {"imagePullSecrets": None}}
    assert patched(null, "a") == {"spec": {"imagePullSecrets": [{"name": "a"}]}}


def test_every_kind_of_container_counts_and_volumes_of_images() -> None:
    spec = {
        "containers": [{"image": "a"}, {}],
        "initContainers": [{"image": "b"}],
        "ephemeralContainers": [{"image": "c"}],
        "volumes": [{"image": {"reference": "d"}}, {"emptyDir": {}}],
    }
    pod = review.read_pod(review.read(body({"spec": spec})))
    assert images_of(pod.spec) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("change", "creates"),
    [
        ({}, True),
        ({"operation": "UPDATE"}, False),
        ({"subResource": "ephemeralcontainers"}, False),
        ({"resource": {"group": "apps", "resource": "pods"}}, False),
        ({"resource": {"group": "", "resource": "deployments"}}, False),
    ],
)
def test_only_the_creation_of_pods_is_looked_at(change: dict[str, Any], creates: bool) -> None:
    assert review.read(body({}, **change)).creates_pod is creates


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}',
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}',
        body({}, uid=7),
    ],
)
def test_what_is_no_review_is_malformed(sent: bytes) -> None:
    with pytest.raises(review.Malformed):
        review.read(sent)


@pytest.mark.parametrize("pod", [[], {"spec": {"containers": 1}}, {"spec": {"volumes": [1]}}])
def test_what_is_no_pod_is_malformed(pod: Any) -> None:
    with pytest.raises(review.Malformed):
        review.read_pod(review.read(body(pod)))


@pytest.mark.parametrize(
    ("selector", "labels", "wanted"),
    [
        ("", {}, True),
        ("team=a", {"team": "a", "x": "y"}, True),
        ("team=a", {}, False),
        ("team!=a", {}, True),
        ("team!=a", {"team": "a"}, False),
        ("team in (a,b)", {"team": "b"}, True),
        ("team in (a,b)", {}, False),
        ("team notin (a,b)", {}, True),
        ("team notin (a,b)", {"team": "a"}, False),
        ("team", {"team": ""}, True),
        ("!team", {"team": ""}, False),
        ("team=a,!old", {"team": "a", "old": "1"}, False),
    ],
)
def test_a_selector_selects_here_what_it_does_in_an_api_server(
    selector: str, labels: dict[str, str], wanted: bool
) -> None:
    assert selects(label_selector(selector), labels) is wanted


def test_a_certificate_comes_back_as_it_was_kept_and_damaged_ones_do_not() -> None:
    made = certificates.issue(["hook.ns.svc", "127.0.0.1", "::1"], LIFE, NOW, b"")
    key = made.key.reveal().encode()
    assert certificates.read(made.trusted, made.certificate, key) == made
    assert made.names == {"hook.ns.svc", "127.0.0.1", "::1"}
    assert NOW + LIFE * 0.6 < made.due < NOW + LIFE * 0.7 < made.expires == NOW + LIFE
    assert "PRIVATE" not in repr(made)
    other = certificates.issue(["hook.ns.svc"], LIFE, NOW, b"")
    for damaged in (
        (made.trusted, made.certificate, b"no key"),
        (made.trusted, made.certificate, other.key.reveal().encode()),
        (made.trusted, b"no certificate", key),
        (b"no authority", made.certificate, key),
    ):
        assert certificates.read(*damaged) is None


def test_of_the_authorities_before_the_newest_stays_trusted() -> None:
    first = certificates.issue(["a"], LIFE, NOW, b"")
    second = certificates.issue(["a"], LIFE, NOW, first.trusted)
    third = certificates.issue(["a"], LIFE, NOW, second.trusted)
    counts = [each.trusted.count(b"BEGIN CERTIFICATE") for each in (first, second, third)]
    assert counts == [1, 2, 2]
    assert second.trusted.startswith(first.trusted)
    assert first.trusted not in third.trusted
    assert third.trusted.startswith(second.trusted.removeprefix(first.trusted))
    assert certificates.issue(["a"], LIFE, NOW, b"damaged").trusted.count(b"BEGIN") == 1


def test_a_server_serves_another_certificate_from_the_next_connection_on() -> None:
    now = datetime.now(UTC)
    first = certificates.issue(["127.0.0.1"], LIFE, now, b"")
    second = certificates.issue(["127.0.0.1"], LIFE, now, first.trusted)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context(cadata=second.trusted.decode())
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serial() -> int:
            def accept() -> None:
                connection, _ = listening.accept()
                serving.wrap_socket(connection, server_side=True).close()

            thread = threading.Thread(target=accept)
            thread.start()
            address = listening.getsockname()
            with (
                socket.create_connection(address) as plain,
                client.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
            ):
                presented = connection.getpeercert(binary_form=True)
            thread.join()
            assert presented is not None
            return x509.load_der_x509_certificate(presented).serial_number

        for made in (first, second):
            certificates.load(serving, made)
            wanted = x509.load_pem_x509_certificate(made.certificate).serial_number
            assert serial() == wanted
