"""Changing the master key while servers run: `pullpass keys`.

Three steps, each of which can be repeated, and interrupted at any point. ``add`` puts a new key
into the file; servers that have the file open with it, and seal with the old one. ``rotate`` makes
it the one that seals, and wraps anew what the old one had wrapped. ``retire`` removes the old key,
once nothing needs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pullpass.sealing.audit_key import AUDIT_KEY_CONTEXT, AUDIT_KEY_SETTING
from pullpass.sealing.keyring import CHECK_CONTEXT, CHECK_SETTING, data_key_context
from pullpass.sealing.keyset_file import KeysetFile, sealed_by
from pullpass.sealing.master_key import FileMasterKey, KeyWrapper
from pullpass.server.settings import Settings, SettingsError
from pullpass.server.startup import prepare
from pullpass.store.keys import KeyStore

_SETTINGS = {CHECK_SETTING: CHECK_CONTEXT, AUDIT_KEY_SETTING: AUDIT_KEY_CONTEXT}


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key of the file: whether it seals, and how many data keys it has wrapped."""

    id: int
    primary: bool
    wrapped: int


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """Something that the master key has wrapped, and how to put another in its place."""

    value: bytes
    context: bytes
    replace: Callable[[bytes, bytes], Awaitable[None]]


async def status(settings: Settings) -> list[KeyStatus]:
    """The keys of the file, the oldest first."""
    async with _opened(settings) as (store, _, file):
        counts = Counter([sealed_by(each.value) for each in await _everything(store)])
        return [KeyStatus(each, each == file.primary, counts[each]) for each in file.ids]


async def add(settings: Settings) -> int:
    """Put a new key into the file, unless there is one that waits; its id."""
    async with _opened(settings) as (_, _, file):
        return _with_waiting_key(file).newest


async def rotate(settings: Settings) -> tuple[int, int]:
    """Seal with the newest key from now on; its id, and how much was wrapped anew.

    A key is added where none waits. Where an earlier rotation was interrupted, or its old key is
    still in the file, this goes on with that one.
    """
    async with _opened(settings) as (store, wrapper, file):
        if len(file.ids) == 1:
            file = _with_waiting_key(file)
        if file.primary != file.newest:
            file = file.promoted()
            file.save()
        return file.primary, await _wrap_anew(store, wrapper, file.primary)


async def retire(settings: Settings) -> list[int]:
    """Remove every key but the primary one from the file; the ids of those that went.

    Raises:
        SettingsError: a key waits for its rotation.
    """
    async with _opened(settings) as (store, wrapper, file):
        if file.primary != file.newest:
            raise SettingsError(
                f"The key {file.newest} waits to be used: run 'pullpass keys rotate' first. "
                "Nothing was changed."
            )
        # What a server wrapped with the old key while it was rotated, if anything.
        await _wrap_anew(store, wrapper, file.primary)
        gone = [each for each in file.ids if each != file.primary]
        if gone:
            file.alone().save()
        return gone


def _with_waiting_key(file: KeysetFile) -> KeysetFile:
    if file.primary == file.newest:
        file = file.with_new_key()
        file.save()
    return file


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


def _setting(store: KeyStore, name: str) -> Callable[[bytes, bytes], Awaitable[None]]:
    return lambda before, after: store.replace_setting(name, before, after)


def _data_key(store: KeyStore, organization: str) -> Callable[[bytes, bytes], Awaitable[None]]:
    return lambda before, after: store.replace_data_key(organization, before, after)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[KeyStore, KeyWrapper, KeysetFile]]:
    if settings.master_key is not None:
        raise SettingsError(
            "The master key is in PULLPASS_MASTER_KEY, which this command cannot change: put it "
            "into a file, name that in PULLPASS_MASTER_KEY_FILE, and run the command again. "
            "Then put the Base64 of the file back into the environment of every server."
        )
    prepared = await prepare(settings)
    try:
        path = settings.master_key_file
        yield KeyStore(prepared.database), FileMasterKey(path), KeysetFile.read(path)
    finally:
        await prepared.database.close()
