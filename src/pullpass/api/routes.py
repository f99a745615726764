"""The one table of operations: path, who may call it, what handles it, what it answers.

The router, the permission check, the OpenAPI document and the access tests all read this table;
its rows stand beside the handlers.
"""

from __future__ import annotations

from pullpass.api import (
    audit,
    checks,
    clusters,
    docker_configs,
    images,
    operations,
    organizations,
    registries,
    token_exchange,
    trust,
)
from pullpass.api.operation import Entry, Operation

__all__ = ["OPERATIONS", "PAGES", "Entry", "Operation"]

OPERATIONS: tuple[Operation, ...] = (
    *registries.OPERATIONS,
    *checks.OPERATIONS,
    *images.OPERATIONS,
    *docker_configs.OPERATIONS,
    *clusters.OPERATIONS,
    *organizations.OPERATIONS,
    *trust.OPERATIONS,
    *token_exchange.OPERATIONS,
    *audit.OPERATIONS,
    *operations.OPERATIONS,
)

PAGES: tuple[Operation, ...] = operations.PAGES
