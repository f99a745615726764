"""What somebody pastes to be imported: a Docker config, or the YAML or JSON of pull secrets.

Secrets are found by a scan, not by a YAML parser: what is looked for is one key, and the lines of
`kubectl get secret --output yaml`, of JSON, of a list of secrets and of a part of any of those have
it alike (https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime

from pullpass.formats.imports.reading import Found, NotADockerConfig, Skipped, read_docker_config

_KEY = re.compile(r"""["']?\.(?:dockerconfigjson|dockercfg)["']?[ \t]*:[ \t]*""")
_BASE64 = re.compile(r"""["']?([A-Za-z0-9+/]+={0,2})["']?[ \t]*(?:[,}#]|$)""")
_QUOTED = re.compile(r"'([^']*(?:''[^']*)*)'")
_BLOCK = re.compile(r"[|>][-+0-9]*[ \t]*(?:#.*)?$")
# Where kubectl keeps what was applied, once more and perhaps of long ago.
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration: |"


def read_pasted(text: str, now: datetime) -> list[Found | Skipped]:
    """Everything in ``text``. ``now`` is an aware time.

    Raises:
        NotADockerConfig: nothing can be read from it; the message shows nothing of it.
    """
    contents = list(_secrets(text))
    if not contents:
        return read_docker_config(text.encode(), "what was pasted", now)
    entries: list[Found | Skipped] = []
    for number, content in enumerate(contents, 1):
        source = "pull secret" if len(contents) == 1 else f"pull secret {number}"
        try:
            entries += read_docker_config(content, source, now)
        except NotADockerConfig as error:
            entries.append(Skipped("-", source, str(error)))
    return entries


def _secrets(text: str) -> Iterator[bytes]:
    """The Docker config in each pull secret, from `data` (Base64) or `stringData` (as it is)."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if _APPLIED in line:
            at = _end_of_block(lines, at, len(line) - len(line.lstrip()))
            continue
        for key in _KEY.finditer(line):
            if _BLOCK.match(line, key.end()):
                begin, at = at, _end_of_block(lines, at, len(line) - len(line.lstrip()))
                yield _value("\n".join(lines[begin:at]))
            elif quoted := _QUOTED.match(line, key.end()):
                yield _value(quoted[1].replace("''", "'"))
            elif plain := _BASE64.match(line, key.end()):
                yield _value(plain[1])


def _end_of_block(lines: list[str], at: int, indent: int) -> int:
    """The number of the first line from ``at`` on that is indented by no more than ``indent``."""
    while at < len(lines):
        line = lines[at]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        at += 1
    return at


def _value(text: str) -> bytes:
    if text.lstrip().startswith("{"):
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
