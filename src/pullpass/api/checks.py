"""Whether a record's credential works at the live registry."""

from __future__ import annotations

from msgspec import UNSET
from starlette.responses import Response

from pullpass.api.call import Call, answer
from pullpass.api.models.registries import CheckRequest, CheckResponse, CheckStep
from pullpass.api.operation import Operation
from pullpass.broker.fields import Fields
from pullpass.domain import timestamp
from pullpass.domain.access import Action

# Longer than any image reference: 253 and 255 characters, port, tag and digest.
_LONGEST = 1000


async def check_registry(call: Call) -> Response:
    fields = Fields(await call.body(optional=True), ("repository", "image"))
    repository = fields.optional_text("repository", None, "a repository, like acme/app", _LONGEST)
    image = fields.optional_text("image", None, "an image reference", _LONGEST)
    fields.done()
    check = await call.services.checks.check(
        call.caller, call.path("regId"), repository=repository, image=image
    )
    probe = check.probe
    call.services.metrics.checked(probe.code)
    return answer(
        CheckResponse(
            ok=probe.ok,
            code=probe.code,
            message=probe.message,
            checked_at=timestamp.render(check.checked_at),
            steps=[
                CheckStep(step.name, step.ok, step.milliseconds, step.message or UNSET)
                for step in probe.steps
            ],
        )
    )


OPERATIONS = (
    Operation(
        "checkRegistry",
        "POST",
        "/orgs/{orgId}/registries/{regId}/actions/check",
        Action.CHECK_RECORDS,
        check_registry,
        "Registry",
        "Tries the record's credential at the live registry, as container clients do.",
        answer=CheckResponse,
        body=CheckRequest,
        body_optional=True,
        errors=(400, 401, 403, 404, 413),
        description="What goes wrong with the registry is the answer, and no error. A record "
        "whose registry holds a `*` needs an `image` that says which host is meant.",
    ),
)
