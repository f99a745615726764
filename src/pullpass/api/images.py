"""Which credential an image, or a bare host, gets."""

from __future__ import annotations

from starlette.responses import Response

from pullpass.api.call import Call, answer
from pullpass.api.models.images import (
    ImageCredsResponse,
    ImageMatch,
    ImageReferenceResponse,
    MatchedRecord,
    MatchRequest,
    MatchResponse,
)
from pullpass.api.operation import Operation, Query
from pullpass.api.registries import CLUSTER_QUERY, asked_cluster, creds_answer
from pullpass.broker.credentials import Delivery, MatchedImage
from pullpass.domain.access import Action
from pullpass.domain.errors import FieldProblem, InvalidFields
from pullpass.domain.record import Record

_MAX_IMAGES = 10_000


async def match_images(call: Call) -> Response:
    images = asked_images(await call.body())
    found = await call.services.credentials.match(call.caller, images)
    return answer(
        MatchResponse(
            results=[_image_match(item) for item in found],
            unmatched=[
                item.image for item in found if item.match is not None and item.match.winner is None
            ],
            malformed=[item.image for item in found if item.error is not None],
        )
    )


async def get_image_creds(call: Call) -> Response:
    image = call.required_query("image", "an image reference, like ghcr.io/acme/app:1.2")
    cluster = asked_cluster(call)
    delivery = await call.services.credentials.for_image(call.caller, image, cluster)
    return creds_answer(call, delivery, _image_creds(delivery))


async def get_host_creds(call: Call) -> Response:
    host = call.required_query("host", "a registry host, like ghcr.io")
    cluster = asked_cluster(call)
    delivery = await call.services.credentials.for_host(call.caller, host, cluster)
    return creds_answer(call, delivery, _image_creds(delivery))


def _image_creds(delivery: Delivery) -> ImageCredsResponse:
    record = delivery.record
    return ImageCredsResponse(record.registry, id=record.id, type=record.type)


def asked_images(
    body: dict[str, object], *, most: int = _MAX_IMAGES, known: tuple[str, ...] = ("images",)
) -> list[str]:
    """The `images` of a body that has the ``known`` fields.

    Raises:
        InvalidFields: they are no list of up to ``most`` strings, or there are other fields.
    """
    expected = f"a list of up to {most} image references"
    problems = [
        FieldProblem(name[:80], "is not a known field", " or ".join(known))
        for name in body
        if name not in known
    ]
    images = body.get("images")
    if not isinstance(images, list) or len(images) > most:
        problem = "is missing" if images is None else "is not such a list"
        problems.append(FieldProblem("images", problem, expected))
        images = []
    wrong = [at for at, image in enumerate(images) if not isinstance(image, str)]
    problems += [
        FieldProblem(f"images.{at}", "is not a string", "an image reference") for at in wrong[:20]
    ]
    if problems:
        raise InvalidFields(problems)
    return images


def _image_match(item: MatchedImage) -> ImageMatch:
    if item.error is not None:
        return ImageMatch(item.image, error=item.error.message, code=item.error.code)
    if item.reference is None or item.match is None:
        return ImageMatch(item.image)
    reference, match = item.reference, item.match
    return ImageMatch(
        item.image,
        reference=ImageReferenceResponse(
            reference.domain, reference.repository, reference.tag, reference.digest
        ),
        match=None if match.winner is None else _matched(match.winner),
        candidates=[_matched(record) for record in match.candidates],
        reason=match.reason,
    )


def _matched(record: Record) -> MatchedRecord:
    return MatchedRecord(record.id, record.registry, record.type)


OPERATIONS = (
    Operation(
        "matchImages",
        "POST",
        "/orgs/{orgId}/registries/actions/match",
        Action.READ_RECORDS,
        match_images,
        "Image",
        "Which record each image matches, and why.",
        answer=MatchResponse,
        body=MatchRequest,
        errors=(400, 401, 403, 404, 413),
    ),
    Operation(
        "getImageCreds",
        "GET",
        "/orgs/{orgId}/image-creds",
        Action.READ_CREDENTIALS,
        get_image_creds,
        "Image",
        "The credential for an image: that of the most specific record that matches it.",
        answer=ImageCredsResponse,
        errors=(400, 401, 403, 404, 502),
        query=(
            Query(
                "image",
                "An image reference as people write it.",
                {"type": "string", "minLength": 1, "example": "ghcr.io/acme/app:1.2"},
                required=True,
            ),
            CLUSTER_QUERY,
        ),
    ),
    Operation(
        "getHostCreds",
        "GET",
        "/orgs/{orgId}/host-creds",
        Action.READ_CREDENTIALS,
        get_host_creds,
        "Image",
        "The credential for a registry host, as a Docker credential helper is asked for it.",
        answer=ImageCredsResponse,
        errors=(400, 401, 403, 404, 502),
        query=(
            Query(
                "host",
                "The server's URL or host, as Docker hands it to a helper.",
                {"type": "string", "minLength": 1, "example": "https://index.docker.io/v1/"},
                required=True,
            ),
            CLUSTER_QUERY,
        ),
    ),
)
