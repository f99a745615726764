"""The six operations on registry records, and the page links of their list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response, StreamingResponse

from pullpass.api.call import Call, answer
from pullpass.api.models.registries import (
    ClusterSecretResponse,
    RegistryCredsResponse,
    RegistryRequest,
    RegistryResponse,
    RegistryStatusResponse,
)
from pullpass.api.operation import Operation, Query
from pullpass.broker.credentials import Delivery
from pullpass.domain import timestamp
from pullpass.domain.access import Action
from pullpass.domain.errors import FieldProblem, InvalidFields
from pullpass.domain.probe import Status
from pullpass.domain.record import (
    CLUSTER_EXPECTED,
    CLUSTER_PATTERN,
    Record,
    Secrets,
    is_cluster_name,
    is_id,
)

_DEFAULT_PAGE = 50


async def list_registries(call: Call) -> Response:
    size, token = call.page_size(), call.query("page")
    if size is None and token is None:
        chunks = call.services.records.list(call.caller)
        # Read before the status line leaves, so that a missing database is still a 503.
        first: Sequence[Record] = await anext(chunks, [])
        return StreamingResponse(
            _json_array(first, chunks),
            headers={"Cache-Control": "no-store"},
            media_type="application/json",
        )
    size = size or _DEFAULT_PAGE
    after = None if token is None else _page_start(token)
    # One more than asked for tells whether there is a next page.
    found = await call.services.records.page(call.caller, after=after, limit=size + 1)
    page = found[:size]
    headers = {}
    if len(found) > size:
        query = urlencode({"per_page": size, "page": _page_token(page[-1].id)})
        headers["Link"] = f'<{call.request.url.path}?{query}>; rel="next"'
    return answer([registry_response(record) for record in page], headers=headers)


async def create_registry(call: Call) -> Response:
    record = await call.services.records.create(call.caller, await call.body())
    return _record_answer(record, 201)


async def get_registry(call: Call) -> Response:
    return _record_answer(await call.services.records.get(call.caller, call.path("regId")))


async def patch_registry(call: Call) -> Response:
    record = await call.services.records.patch(
        call.caller, call.path("regId"), await call.body(), _expected_versions(call)
    )
    return _record_answer(record)


async def delete_registry(call: Call) -> Response:
    await call.services.records.delete(call.caller, call.path("regId"), _expected_versions(call))
    return Response(status_code=204)


async def get_registry_creds(call: Call) -> Response:
    delivery = await call.services.credentials.for_record(
        call.caller, call.path("regId"), asked_cluster(call)
    )
    return creds_answer(call, delivery, RegistryCredsResponse(delivery.record.registry))


def registry_response(record: Record) -> RegistryResponse:
    return RegistryResponse(
        id=record.id,
        registry=record.registry,
        type=record.type,
        enable_ci=record.enable_ci,
        secrets=_secrets(record.secrets),
        options=UNSET if record.options is None else dict(record.options),
        created_at=UNSET if record.created_at is None else timestamp.render(record.created_at),
        created_by=UNSET if record.created_by is None else record.created_by,
        status=UNSET if record.status is None else _status(record.status),
    )


def _status(status: Status) -> RegistryStatusResponse:
    return RegistryStatusResponse(
        ok=status.ok,
        code=status.code,
        message=status.message,
        checked_at=timestamp.render(status.checked_at),
        since=timestamp.render(status.since),
    )


def creds_answer(call: Call, delivery: Delivery, content: RegistryCredsResponse) -> Response:
    """``content`` completed with what ``delivery`` hands out; counted as handed out."""
    call.services.metrics.delivered(delivery.record.type)
    content.secrets = _secrets(delivery.secrets)
    credential = delivery.credential
    if credential is not None:
        content.username = credential.username
        content.password = credential.password.reveal()
        if credential.expires is not None:
            content.expires = timestamp.render(credential.expires)
    return answer(content)


def asked_cluster(call: Call) -> str | None:
    """The `cluster` query parameter.

    Raises:
        InvalidFields: not a cluster name.
    """
    cluster = call.query("cluster")
    if cluster is not None and not is_cluster_name(cluster):
        raise InvalidFields([FieldProblem("cluster", f"is {cluster[:80]!a}", CLUSTER_EXPECTED)])
    return cluster


def _record_answer(record: Record, status: int = 200) -> Response:
    return answer(registry_response(record), status, {"ETag": f'"{record.version}"'})


def _secrets(secrets: Secrets | None) -> dict[str, ClusterSecretResponse] | UnsetType:
    if secrets is None:
        return UNSET
    return {
        cluster: ClusterSecretResponse(reference.namespace, reference.secret)
        for cluster, reference in secrets.items()
    }


def _expected_versions(call: Call) -> frozenset[str] | None:
    """The entity tags of If-Match (RFC 9110 section 13.1.1); None for `*` or no header.

    A weak tag never matches here, so it is left out.
    """
    header = call.request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    tags = (tag.strip() for tag in header.split(","))
    return frozenset(
        tag[1:-1] for tag in tags if len(tag) > 2 and tag.startswith('"') and tag.endswith('"')
    )


async def _json_array(
    first: Sequence[Record], rest: AsyncIterator[Sequence[Record]]
) -> AsyncIterator[bytes]:
    yield b"[" + _json_items(first)
    async for chunk in rest:
        yield b"," + _json_items(chunk)
    yield b"]"


def _json_items(records: Sequence[Record]) -> bytes:
    return msgspec.json.encode([registry_response(record) for record in records])[1:-1]


def _page_token(record_id: str) -> str:
    return base64.urlsafe_b64encode(record_id.encode()).decode()


def _page_start(token: str) -> str:
    try:
        record_id = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        record_id = ""
    if not is_id(record_id):
        raise InvalidFields(
            [FieldProblem("page", "is not a page token", "the token of a Link header")]
        )
    return record_id


CLUSTER_QUERY = Query(
    "cluster",
    "Narrow `secrets` to the one for this cluster.",
    {"type": "string", "pattern": CLUSTER_PATTERN},
)
_REGISTRIES = "/orgs/{orgId}/registries"
_REGISTRY = f"{_REGISTRIES}/{{regId}}"
_PAGING = (
    Query(
        "per_page",
        "Page the list, this many records a page. Without it the list is whole.",
        {"type": "integer", "minimum": 1, "maximum": 100},
    ),
    Query("page", "The page token of a `Link` header.", {"type": "string"}),
)

OPERATIONS = (
    Operation(
        "getOrgsOrgIdRegistries",
        "GET",
        _REGISTRIES,
        Action.READ_RECORDS,
        list_registries,
        "Registry",
        "Lists available registries for the organization.",
        answer=list[RegistryResponse],
        errors=(400, 401, 404),
        query=_PAGING,
    ),
    Operation(
        "postOrgsOrgIdRegistries",
        "POST",
        _REGISTRIES,
        Action.WRITE_RECORDS,
        create_registry,
        "Registry",
        "Creates a new registry record.",
        success=201,
        answer=RegistryResponse,
        body=RegistryRequest,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Operation(
        "getOrgsOrgIdRegistriesRegId",
        "GET",
        _REGISTRY,
        Action.READ_RECORDS,
        get_registry,
        "Registry",
        "Loads a registry record details.",
        answer=RegistryResponse,
        errors=(400, 401, 404),
    ),
    Operation(
        "patchOrgsOrgIdRegistriesRegId",
        "PATCH",
        _REGISTRY,
        Action.WRITE_RECORDS,
        patch_registry,
        "Registry",
        "Updates (patches) an existing registry record.",
        answer=RegistryResponse,
        body=RegistryRequest,
        errors=(400, 401, 403, 404, 409, 412, 413),
        conditional=True,
        description="Takes a full or a partial body: what is absent stays, `creds` and `secrets` "
        "replace the whole value, `null` clears it. The result must be valid as a whole.",
    ),
    Operation(
        "deleteOrgsOrgIdRegistriesRegId",
        "DELETE",
        _REGISTRY,
        Action.WRITE_RECORDS,
        delete_registry,
        "Registry",
        "Deletes an existing registry record and all associated credentials and secrets.",
        success=204,
        errors=(400, 401, 403, 404, 412),
        conditional=True,
        description="Deletions are irreversible.",
    ),
    Operation(
        "getOrgsOrgIdRegistriesRegIdCreds",
        "GET",
        f"{_REGISTRY}/creds",
        Action.READ_CREDENTIALS,
        get_registry_creds,
        "Registry",
        "Returns current account credentials or secret details for the registry.",
        answer=RegistryCredsResponse,
        errors=(400, 401, 403, 404, 502),
        query=(CLUSTER_QUERY,),
    ),
)
