"""The one error of this layer's network edge."""

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
