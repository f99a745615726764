"""The call of a browser, as the audit log shows it."""

from __future__ import annotations

from starlette.requests import Request

from pullpass.domain.identity import Origin


def origin_of(request: Request) -> Origin:
    """A page answers 200; where a form was sent, the redirect that follows says that it worked."""
    client = request.client
    return Origin(
        method=request.method,
        path=request.scope["path"],
        status=200 if request.method in ("GET", "HEAD") else 303,
        request_id=request.state.request_id,
        address=(client.host or None) if client is not None else None,
        user_agent=request.headers.get("user-agent"),
    )
