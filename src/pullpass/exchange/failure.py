"""The errors that stay within this layer and the one above it."""

from __future__ import annotations

from pullpass.domain.probe import ProbeCode


class UpstreamFailed(Exception):
    """A registry, or a service behind it, gave nothing that can be used.

    It stays within this layer: to a probe it is the result, to an exchange one of the errors of
    ``pullpass.domain.errors``. The message repeats nothing that the other side said but host
    names and numbers, for it may have said a secret.
    """

    def __init__(self, reason: ProbeCode, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class IdentityTokenRefused(Exception):
    """``reason`` is for the server's log: it repeats claims, and never the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IssuerUnavailable(Exception):
    """There is no key to check a token with. ``retry_after``: in how many seconds to try again."""

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
