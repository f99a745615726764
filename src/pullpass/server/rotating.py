"""Changing the master key while servers run: `pullpass keys`.

Three steps, each of which can be repeated, and interrupted at any point. ``add`` puts a new key
beside the one in use; servers that see it open with it, and seal with the old one. ``rotate`` makes
it the one that seals, and wraps anew what the old one had wrapped. ``retire`` removes the old key,
once nothing needs it. ``move`` brings the whole to another place, and ``rewrap`` has the remote
key that wraps it there take its newest version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pullpass.sealing.audit_key import AUDIT_KEY_CONTEXT, AUDIT_KEY_SETTING
from pullpass.sealing.envelope import WrappedHome
from pullpass.sealing.key_homes import FileHome, KeyHome
from pullpass.sealing.keyring import CHECK_CONTEXT, CHECK_SETTING, data_key_context
from pullpass.sealing.keyset import Keyset, sealed_by
from pullpass.sealing.master_key import KeyWrapper, MasterKeyError
from pullpass.server.master_keys import wrapped_home
from pullpass.server.settings import Settings, SettingsError
from pullpass.server.startup import Prepared, prepare
from pullpass.store.keys import KeyStore

_SETTINGS = {CHECK_SETTING: CHECK_CONTEXT, AUDIT_KEY_SETTING: AUDIT_KEY_CONTEXT}


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key of the keyset: whether it seals, and how many data keys it has wrapped."""

    id: int
    primary: bool
    wrapped: int


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """Something that the master key has wrapped, and how to put another in its place."""

    value: bytes
    context: bytes
    replace: Callable[[bytes, bytes], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Opened:
    """The database with its master key, and the place that this is changed in."""

    store: KeyStore
    wrapper: KeyWrapper
    keyset: Keyset
    home: KeyHome


async def status(settings: Settings) -> tuple[str, list[KeyStatus]]:
    """Where the master key is, and its keys, the oldest first."""
    async with _prepared(settings) as (store, prepared):
        where = "PULLPASS_MASTER_KEY" if prepared.home is None else prepared.home.where
        keyset = await _keyset(settings, prepared)
        counts = Counter([sealed_by(each.value) for each in await _everything(store)])
        found = [KeyStatus(each, each == keyset.primary, counts[each]) for each in keyset.ids]
    return where, found


async def add(settings: Settings) -> int:
    """Put a new key beside the one in use, unless there is one that waits; its id."""
    async with _opened(settings) as opened:
        return (await _with_waiting_key(opened)).newest


async def rotate(settings: Settings) -> tuple[int, int]:
    """Seal with the newest key from now on; its id, and how much was wrapped anew.

    A key is added where none waits. Where an earlier rotation was interrupted, or its old key is
    still there, this goes on with that one.
    """
    async with _opened(settings) as opened:
        keyset = opened.keyset
        if len(keyset.ids) == 1:
            keyset = await _with_waiting_key(opened)
        if keyset.primary != keyset.newest:
            keyset = keyset.promoted()
            await opened.home.save(keyset)
        return keyset.primary, await _wrap_anew(opened.store, opened.wrapper, keyset.primary)


async def retire(settings: Settings) -> list[int]:
    """Remove every key but the primary one; the ids of those that went.

    Raises:
        SettingsError: a key waits for its rotation.
    """
    async with _opened(settings) as opened:
        keyset = opened.keyset
        if keyset.primary != keyset.newest:
            raise SettingsError(
                f"The key {keyset.newest} waits to be used: run 'pullpass keys rotate' first. "
                "Nothing was changed."
            )
        # What a server wrapped with the old key while it was rotated, if anything.
        await _wrap_anew(opened.store, opened.wrapper, keyset.primary)
        gone = [each for each in keyset.ids if each != keyset.primary]
        if gone:
            await opened.home.save(keyset.alone())
        return gone


async def rewrap(settings: Settings) -> str:
    """Have the remote key wrap the master key anew, by its newest version; where that is.

    Raises:
        SettingsError: no remote key wraps it.
    """
    async with _prepared(settings) as (_, prepared):
        if not isinstance(prepared.home, WrappedHome):
            raise SettingsError(
                "The master key is wrapped by no remote key: there is nothing to wrap anew. "
                "To bring it to one: pullpass keys move."
            )
        await prepared.home.rewrap()
        return prepared.home.where


async def move(settings: Settings, target: str | Path) -> tuple[str, str]:
    """Copy the master key to another place: the URI of a remote key, or a file.

    Where it was, and where it is now as well. Servers go on with what their settings say.

    Raises:
        SettingsError: there is another key in the file, or the URI is none.
    """
    async with _prepared(settings) as (store, prepared):
        keyset = await _keyset(settings, prepared)
        home: KeyHome
        if isinstance(target, Path):
            home = FileHome(target)
            there = await home.read()
            if there is not None and there.text != keyset.text:
                raise SettingsError(
                    f"There is another master key in {target} already. Nothing was changed."
                )
        else:
            home = wrapped_home(settings, store, target)
            # What an earlier move has left there is replaced.
            await home.read()
        await home.save(keyset)
        before = "PULLPASS_MASTER_KEY" if prepared.home is None else prepared.home.where
        return before, home.where


async def _with_waiting_key(opened: _Opened) -> Keyset:
    keyset = opened.keyset
    if keyset.primary == keyset.newest:
        keyset = keyset.with_new_key()
        await opened.home.save(keyset)
    return keyset


async def _wrap_anew(store: KeyStore, wrapper: KeyWrapper, primary: int) -> int:
    count = 0
    for each in await _everything(store):
        if sealed_by(each.value) != primary:
            plain = await wrapper.unwrap(each.value, each.context)
            await each.replace(each.value, await wrapper.wrap(plain, each.context))
            count += 1
    return count


async def _everything(store: KeyStore) -> list[_Wrapped]:
    found = []
    for name, context in _SETTINGS.items():
        value = await store.setting(name)
        if value is not None:
            found.append(_Wrapped(value, context, _setting(store, name)))
    for organization, value in (await store.data_keys()).items():
        context = data_key_context(organization)
        found.append(_Wrapped(value, context, _data_key(store, organization)))
    return found


def _setting(store: KeyStore, name: str) -> Callable[[bytes, bytes], Awaitable[object]]:
    return lambda before, after: store.replace_setting(name, before, after)


def _data_key(store: KeyStore, organization: str) -> Callable[[bytes, bytes], Awaitable[object]]:
    return lambda before, after: store.replace_data_key(organization, before, after)


async def _keyset(settings: Settings, prepared: Prepared) -> Keyset:
    if prepared.home is None:
        return Keyset.parse(settings.master_key or "", "PULLPASS_MASTER_KEY")
    keyset = await prepared.home.read()
    if keyset is None:
        raise MasterKeyError(f"The master key is gone from {prepared.home.where}.")
    return keyset


@asynccontextmanager
async def _prepared(settings: Settings) -> AsyncIterator[tuple[KeyStore, Prepared]]:
    prepared = await prepare(settings, create=False)
    try:
        yield KeyStore(prepared.database), prepared
    finally:
        await prepared.database.close()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Opened]:
    if settings.master_key is not None:
        raise SettingsError(
            "The master key is in PULLPASS_MASTER_KEY, which this command cannot change: put it "
            "into a file, name that in PULLPASS_MASTER_KEY_FILE, and run the command again. "
            "Then put the Base64 of the file back into the environment of every server."
        )
    async with _prepared(settings) as (store, prepared):
        keyset = await _keyset(settings, prepared)
        assert prepared.home is not None
        yield _Opened(store, prepared.master_key, keyset, prepared.home)
