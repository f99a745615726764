"""JSON by the C half of the standard library's json, without the half that takes long to load.

``json`` imports ``re`` and ``enum``, which is as long as the start of the interpreter. Its
accelerator, ``_json``, is no documented module: where it is missing or has changed, ``json``
itself does the work.
"""

from __future__ import annotations


class _Rules:
    """How json.JSONDecoder() reads, as the C scanner asks for it."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - of no use but to the scanner of newer Pythons


def loads(body: bytes) -> object:
    """The value in ``body``; None where that is not JSON in UTF-8."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    try:
        from _json import make_scanner

        text = text.strip(" \t\r\n")
        value, end = make_scanner(_Rules)(text, 0)  # type: ignore[arg-type]
    except StopIteration:
        return None
    except (ImportError, AttributeError, TypeError):
        return _slowly(text)
    except (ValueError, RecursionError, SystemError):
        # SystemError: it looks for json's own kind of ValueError, which is not loaded.
        return None
    return value if end == len(text) else None


def quoted(text: str) -> str:
    """``text`` as a JSON string, in ASCII."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json import dumps

        return dumps(text)
    return encode_basestring_ascii(text)


def _slowly(text: str) -> object:
    import json

    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value
