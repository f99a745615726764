"""The six operations of the compatible API under the names that its generated clients have.

As ``client.registry.get_orgs_org_id_registries(org_id=…)``: the operationIds, the parameters of
the paths and the field names of the bodies, in Python's spelling. The organization is a parameter
of each call. Errors are raised, so that an :class:`Answered` is always one of success.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pullpass.client import operations
from pullpass.client.models import Credentials, Registry, RegistryFields
from pullpass.client.wire import Operation, Response

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """The answer to a call: its status, and what it holds (None after a deletion)."""

    status_code: int
    result: T
    request_id: str | None = None


def get_orgs_org_id_registries(*, org_id: str) -> Operation[Answered[tuple[Registry, ...]]]:
    """Lists available registries for the organization."""
    return _answered(operations.list_registries(org_id))


def post_orgs_org_id_registries(
    *, org_id: str, registry_request: RegistryFields
) -> Operation[Answered[Registry]]:
    """Creates a new registry record."""
    return _answered(operations.create_registry(org_id, registry_request))


def get_orgs_org_id_registries_reg_id(*, org_id: str, reg_id: str) -> Operation[Answered[Registry]]:
    """Loads a registry record's details."""
    return _answered(operations.get_registry(org_id, reg_id))


def patch_orgs_org_id_registries_reg_id(
    *, org_id: str, reg_id: str, registry_request: RegistryFields
) -> Operation[Answered[Registry]]:
    """Updates (patches) an existing registry record."""
    return _answered(operations.update_registry(org_id, reg_id, registry_request))


def delete_orgs_org_id_registries_reg_id(*, org_id: str, reg_id: str) -> Operation[Answered[None]]:
    """Deletes an existing registry record and all associated credentials and secrets."""
    return _answered(operations.delete_registry(org_id, reg_id))


def get_orgs_org_id_registries_reg_id_creds(
    *, org_id: str, reg_id: str
) -> Operation[Answered[Credentials]]:
    """Returns current account credentials or secret details for the registry."""
    return _answered(operations.registry_creds(org_id, reg_id))


def _answered(operation: Operation[T]) -> Operation[Answered[T]]:
    def read(response: Response) -> Answered[T]:
        request_id = response.headers.get("x-request-id")
        return Answered(response.status, operation.reader(response), request_id)

    return Operation(operation.request, read)
