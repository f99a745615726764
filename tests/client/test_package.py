"""The client as a package of its own: what comes with it, and what both its drivers have."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from importlib.resources import files

import pytest

import pullpass
from pullpass.client import aio, clusters, compatible, operations, sync, trust

IMPORTED = """
import json, sys
import pullpass.client
light = sorted(sys.modules)
from pullpass.client import AsyncClient, Client
from pullpass.client import errors, models
Client("http://127.0.0.1", "acme", "ppt_x")
AsyncClient("http://127.0.0.1", "acme", "ppt_x")
print(json.dumps([light, sorted(sys.modules)]))
"""


def test_nothing_of_the_server_is_imported_and_the_http_library_only_with_a_client() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True
    ).stdout
    light, heavy = ({name.split(".")[0] for name in names} for names in json.loads(printed))
    assert "httpx" not in light
    assert "httpx" in heavy
    packages = packages_distributions()
    came = {name.lower() for module in heavy for name in packages.get(module, [])}
    of_server = {
        re.split(r"[^\w.-]", requirement)[0].lower()
        for requirement in requires("pullpass") or []
        if "extra == 'server'" in requirement
    }
    assert {"starlette", "sqlalchemy", "granian", "google-auth"} <= of_server
    assert came & of_server == set()
    layers = {name.split(".")[1] for name in json.loads(printed)[1] if name.startswith("pullpass.")}
    assert layers == {"client"}


def test_types_are_shipped() -> None:
    assert files(pullpass).joinpath("py.typed").is_file()


GROUPS = [
    (sync.Client, aio.AsyncClient),
    (sync.Registries, aio.Registries),
    (sync.CompatibleRegistry, aio.CompatibleRegistry),
    (sync.Users, aio.Users),
    (sync.Clusters, aio.Clusters),
    (sync.Tokens, aio.Tokens),
    (sync.TrustRules, aio.TrustRules),
    (sync.Audit, aio.Audit),
]


@pytest.mark.parametrize(("one", "other"), GROUPS, ids=lambda group: str(group.__name__))
def test_both_drivers_have_the_same_calls(one: type, other: type) -> None:
    calls = public(one)
    assert calls == public(other)
    assert calls
    for name in calls:
        mirrored = getattr(other, name)
        if name != "close":
            assert inspect.signature(getattr(one, name)) == inspect.signature(mirrored)
            assert getattr(one, name).__doc__ == mirrored.__doc__
        assert inspect.iscoroutinefunction(mirrored) or inspect.isasyncgenfunction(mirrored)


def test_every_operation_is_a_call_of_the_client() -> None:
    built = {
        name
        for module in (operations, clusters, compatible, trust)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }
    called = {
        getattr(one, name).__name__ for one, _ in GROUPS for name in public(one) - {"close"}
    } | {"match_images"}
    assert built - called == set()


def public(group: type) -> set[str]:
    return {name for name, value in vars(group).items() if callable(value) and name[0] != "_"}
