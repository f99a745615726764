"""Structured logs on standard error: JSON for machines, or aligned text for people."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog
from structlog.typing import Processor

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def configure(log_format: str, level: str) -> None:
    """Set up logging for this process. Values are escaped by the renderer, so that no input
    can break a line; tracebacks never show local variables.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Processor]
    if log_format == "json":
        renderer = [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        renderer = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        ]
    # The libraries' lines come through the standard library. Our own are written without that
    # detour, which took longer than all the rest of a short request.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries log whole statements and requests at debug level: that is not for our logs.
    root.setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, *renderer, _encode],
        logger_factory=structlog.BytesLoggerFactory(
            _Lines(sys.stderr.fileno(), "wb", closefd=False)
        ),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


class _Lines(io.FileIO):
    """Where our own lines go. One that cannot be written, as on a full disk, is lost, as it is in
    the standard library's logging: what the line tells of must not fail for it.
    """

    def write(self, line: ReadableBuffer) -> int:
        try:
            return super().write(line)
        except OSError:
            return 0


def _encode(_logger: object, _method: str, line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")
