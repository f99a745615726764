"""Docker configs and the content of pull secrets, for images or for one record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from starlette.responses import Response

from pullpass.api.call import Call, answer
from pullpass.api.images import asked_images
from pullpass.api.models.docker_configs import (
    MOST_IMAGES,
    Consumer,
    DockerConfigEntry,
    DockerConfigRequest,
    DockerConfigResponse,
)
from pullpass.api.operation import Operation, Query
from pullpass.broker.credentials import Delivery
from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.errors import FieldProblem, InvalidFields, InvalidInput
from pullpass.formats.docker_config import Auths, Grant, docker_auths
from pullpass.formats.pull_secret import kubelet_auths

# Beside the body, which is a file that others read.
EXPIRES = "Pullpass-Expires"
WITHOUT = "Pullpass-Without-Credential"

_FORMATS: Mapping[Consumer, Callable[[Iterable[Grant]], Auths]] = {
    Consumer.DOCKER: docker_auths,
    Consumer.KUBELET: kubelet_auths,
}
_CONSUMERS = " or ".join(f"'{name}'" for name in Consumer)
# A header holds so much of what may be a thousand names.
_MOST_NAMED = 20


async def create_docker_config(call: Call) -> Response:
    body = await call.body()
    images = asked_images(body, most=MOST_IMAGES, known=("images", "consumer"))
    consumer = _consumer(body.get("consumer"))
    found = await call.services.credentials.for_images(call.caller, images)
    grants: list[Grant] = []
    given: dict[tuple[str, str], Delivery] = {}
    without: list[str] = []
    for image, item in zip(images, found, strict=True):
        delivery = item.delivery
        credential = delivery.credential if delivery else None
        prefix = delivery.record.prefix if delivery else None
        grants.append(Grant.to_image(item.reference, prefix, credential))
        if delivery is None or credential is None:
            without.append(image)
        else:
            given[delivery.record.id, item.reference.host] = delivery
    return _config_answer(call, _FORMATS[consumer](grants), given.values(), without)


async def get_registry_docker_config(call: Call) -> Response:
    consumer = _consumer(call.query("consumer"))
    delivery = await call.services.credentials.for_record(call.caller, call.path("regId"), None)
    record = delivery.record
    if consumer is Consumer.DOCKER and record.prefix.is_wildcard:
        raise InvalidInput(
            f"The registry record '{record.id}' is for all hosts like {record.prefix.domain}, and "
            "a Docker config has no patterns. Ask with images: POST /orgs/{orgId}/docker-config.",
            code="wildcard_registry",
        )
    grant = Grant.of_record(record.prefix, delivery.credential)
    given = [] if delivery.credential is None else [delivery]
    return _config_answer(call, _FORMATS[consumer]([grant]), given, [])


def _consumer(value: object) -> Consumer:
    if value is None:
        return Consumer.DOCKER
    try:
        return Consumer(str(value))
    except ValueError:
        raise InvalidFields(
            [FieldProblem("consumer", f"is {str(value)[:20]!a}", _CONSUMERS)]
        ) from None


def _config_answer(
    call: Call, auths: Auths, given: Iterable[Delivery], without: list[str]
) -> Response:
    ends: list[datetime] = []
    for delivery in given:
        call.services.metrics.delivered(delivery.record.type)
        if delivery.credential is not None and delivery.credential.expires is not None:
            ends.append(delivery.credential.expires)
    headers = {}
    if ends:
        headers[EXPIRES] = timestamp.render(min(ends))
    if without:
        names = list(dict.fromkeys(without))
        more = len(names) - _MOST_NAMED
        headers[WITHOUT] = ", ".join(names[:_MOST_NAMED]) + (f", {more} more" if more > 0 else "")
    entries = {name: DockerConfigEntry(**fields) for name, fields in auths.items()}
    return answer(DockerConfigResponse(entries), headers=headers)


_HEADERS = (
    f" The header `{EXPIRES}` says when the first of the credentials ends, if one does; "
    f"`{WITHOUT}` names the images that are pulled anonymously."
)

OPERATIONS = (
    Operation(
        "createDockerConfig",
        "POST",
        "/orgs/{orgId}/docker-config",
        Action.READ_CREDENTIALS,
        create_docker_config,
        "Image",
        "A Docker config with the credentials for images.",
        answer=DockerConfigResponse,
        body=DockerConfigRequest,
        errors=(400, 401, 403, 404, 413, 502),
        description="All or nothing: if the credential of one image cannot be had, none is "
        "handed out." + _HEADERS,
    ),
    Operation(
        "getRegistryDockerConfig",
        "GET",
        "/orgs/{orgId}/registries/{regId}/docker-config",
        Action.READ_CREDENTIALS,
        get_registry_docker_config,
        "Registry",
        "A Docker config with the credential of a record.",
        answer=DockerConfigResponse,
        errors=(400, 401, 403, 404, 502),
        query=(
            Query(
                "consumer",
                "Who will read it.",
                {"type": "string", "enum": list(Consumer), "default": Consumer.DOCKER},
            ),
        ),
        description=_HEADERS.strip(),
    ),
)
