"""Image references in whatever was pasted: a list, manifests, a compose file, Helm values.

Scanned line by line instead of parsed: what people paste is often a part of a file, or a template
that is no YAML before it is rendered, and a scan gets the images out of those too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST = 1000
# What is pasted may be made to be slow: no line is looked at more often than this for the lines
# before it. Charts have a handful of values below an `image:`.
_LOOKED_AT = 50

_KEY = r"""(?:^|[\s{,\[-])["']?(?i:image)["']?\s*:\s*"""
_QUOTED = r""""([^"\n]+)"|'([^'\n]+)'"""
_INLINE = re.compile(rf"""{_KEY}(?:{_QUOTED}|([^\s"',}}\]#{{[|>]+))""")
_BLOCK = re.compile(r"""^(\s*)(?:-\s+)?["']?image["']?\s*:\s*(?:#.*)?$""")
_ENTRY = re.compile(
    r"""^(\s++)["']?(registry|repository|tag|digest)["']?\s*:\s*["']?([^\s"'#]*)["']?"""
)
_FROM = re.compile(r"^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)")
_STAGE = re.compile(r"^\s*FROM\s.*\sAS\s+(\S+)\s*$", re.IGNORECASE)
_WORD = re.compile(r"[^\s,;\"']+")


def images_in(text: str) -> list[str]:
    """The image references in ``text``, each once, in the order in which they stand there; at
    most :data:`MOST`. None of them is checked to be one.

    What has no `image:` and no `FROM` in it is a list: every word is an image.
    """
    lines = text.splitlines()
    found = list(_marked(lines))
    if not found and not any(_BLOCK.match(line) or ": " in line for line in lines):
        words = [line.partition(" #")[0] for line in lines if not line.lstrip().startswith("#")]
        found = _WORD.findall("\n".join(words))
    return list(dict.fromkeys(found))[:MOST]


def _marked(lines: list[str]) -> Iterator[str]:
    stages: set[str] = set()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            continue
        for groups in _INLINE.findall(line):
            yield next(filter(None, groups)).strip()
        if block := _BLOCK.match(line):
            yield from _helm_values(lines[number + 1 : number + 1 + _LOOKED_AT], len(block[1]))
        if (source := _FROM.match(line)) and source[1] not in stages | {"scratch"}:
            yield source[1]
        if stage := _STAGE.match(line):
            stages.add(stage[1])


def _helm_values(lines: list[str], indent: int) -> Iterator[str]:
    """`image:` with `registry`, `repository`, `tag` and `digest` below it, in any order."""
    found: dict[str, str] = {}
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        if entry := _ENTRY.match(line):
            found.setdefault(entry[2], entry[3])
    if repository := found.get("repository"):
        image = "/".join(filter(None, (found.get("registry"), repository)))
        tag, digest = found.get("tag"), found.get("digest")
        yield image + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
