"""`credHelpers` in one client's file: set for hosts, and put back as it was.

https://docs.docker.com/reference/cli/docker/login/#credential-helpers and containers-auth.json(5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from pullpass.cli.docker.jsontext import JsonObject, NotAnObject

HELPER = "pullpass"
HUB_KEYS = ("docker.io", "https://index.docker.io/v1/")
_SECTION = "credHelpers"
_EMPTY = "{}\n"


@dataclass(slots=True)
class Memory:
    """What a file was like before: nothing of it is secret, for `auths` is not in it.

    ``before``: its `credHelpers` as they were written; ``after``: as we wrote them; ``hosts``: the
    helper that each host had; ``empty``: the whole text, where it held no member at all;
    ``created``: there was no file.
    """

    before: str | None = None
    after: str | None = None
    hosts: dict[str, str | None] = field(default_factory=dict)
    empty: str | None = None
    created: bool = False

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of a file. ``text`` is None where it is to be removed.

    ``set_``: hosts that get the helper; ``kept``: those that keep another; ``logins``: those with
    a login in the file, which the helper goes before.
    """

    text: str | None
    set_: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    logins: tuple[str, ...] = ()


def install(
    text: str | None, hosts: Iterable[str], memory: Memory | None, *, force: bool
) -> tuple[Edit, Memory]:
    """The file (None: there is none) with the helper for ``hosts``, and what to remember.

    Raises:
        NotAnObject: it is none, or its `credHelpers` are not.
    """
    config = JsonObject(_EMPTY if text is None else text)
    helpers = _helpers(config)
    wanted = [host for host in hosts if helpers.get(host) != HELPER]
    kept = {} if force else {h: str(helpers[h]) for h in wanted if helpers.get(h)}
    set_ = tuple(host for host in wanted if host not in kept)
    auths = config.fields.get("auths")
    logins = [host for host in set_ if isinstance(auths, dict) and auths.get(host)]
    memory = memory or Memory(
        config.value_text(_SECTION),
        empty=None if config.fields else config.text,
        created=text is None,
    )
    if not set_:
        return Edit(text, (), kept), memory
    for host in set_:
        previous = helpers.get(host)
        memory.hosts.setdefault(host, None if previous is None else str(previous))
    memory.after = config.render(helpers | dict.fromkeys(set_, HELPER))
    return Edit(config.put(_SECTION, memory.after), set_, kept, tuple(logins)), memory


def uninstall(text: str, memory: Memory | None) -> Edit:
    """The file without the helper: exactly as it was, where only other members have changed.

    Raises:
        NotAnObject: as for :func:`install`.
    """
    config = JsonObject(text)
    helpers = _helpers(config)
    ours = tuple(host for host, helper in helpers.items() if helper == HELPER)
    if not ours:
        return Edit(text)
    memory = memory or Memory()
    if config.value_text(_SECTION) == memory.after and memory.after is not None:
        if memory.before is not None:
            return Edit(config.put(_SECTION, memory.before), ours)
        return Edit(_without_section(config, memory), ours)
    for host in ours:
        previous = memory.hosts.get(host)
        if previous is None:
            del helpers[host]
        else:
            helpers[host] = previous
    if helpers or memory.before is not None:
        return Edit(config.put(_SECTION, config.render(helpers)), ours)
    return Edit(_without_section(config, memory), ours)


def _without_section(config: JsonObject, memory: Memory) -> str | None:
    if set(config.fields) == {_SECTION}:
        if memory.created:
            return None
        if memory.empty is not None:
            return memory.empty
    return config.drop(_SECTION)


def _helpers(config: JsonObject) -> dict[str, object]:
    helpers = config.fields.get(_SECTION, {})
    if not isinstance(helpers, dict):
        raise NotAnObject(f'its "{_SECTION}" are not an object')
    return dict(helpers)


def read_memory(text: str) -> dict[str, Memory]:
    """What was remembered of each file; nothing, where that cannot be read."""
    try:
        found = json.loads(text)
        return {path: Memory(**fields) for path, fields in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
