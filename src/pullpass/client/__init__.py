"""The client of the Pullpass API: ``from pullpass.client import Client, AsyncClient``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pullpass.client.aio import AsyncClient
    from pullpass.client.secret import Secret
    from pullpass.client.sync import Client

__all__ = ["AsyncClient", "Client", "Secret"]

# The HTTP library is imported with the driver that needs it: commands that send nothing start
# without it.
_HOMES = {"AsyncClient": "aio", "Client": "sync", "Secret": "secret"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
