"""Where a call comes from, as the audit log shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pullpass.domain.identity import Origin

_USER_AGENT = b"user-agent"


def origin_of(scope: Mapping[str, Any], status: int) -> Origin:
    """The call that ``scope`` describes (ASGI, "HTTP connection scope"), after it has got its
    request id; ``status`` is what it answers where it succeeds.
    """
    client = scope.get("client")
    agents = (value for name, value in scope["headers"] if name == _USER_AGENT)
    agent = next(agents, None)
    return Origin(
        method=scope["method"],
        path=scope["path"],
        status=status,
        request_id=scope["state"]["request_id"],
        address=(client[0] or None) if client else None,
        user_agent=None if agent is None else agent.decode("latin-1"),
    )
