"""The master key: it wraps data keys, and nothing else.

:class:`LocalMasterKey` is a Tink keyset (https://developers.google.com/tink) held by this process;
``pullpass.sealing.key_homes`` has one that may change while this process runs.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Protocol

import tink
from tink import aead, json_proto_keyset_format, secret_key_access

from pullpass.domain.errors import PullpassError


class MasterKeyError(PullpassError):
    """The master key is missing, unreadable, or not the one that the database is sealed with."""

    default_code = "master_key"


class KeyWrapper(Protocol):
    """Wraps and unwraps data keys; ``context`` must be the same on both sides.

    ``unwrap`` raises :class:`MasterKeyError` where the key or the context is another one.
    """

    async def wrap(self, plain: bytes, context: bytes) -> bytes: ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


class LocalMasterKey:
    """AES-256-GCM by a Tink keyset. Several keys may be in it: the primary one wraps."""

    def __init__(self, handle: tink.KeysetHandle) -> None:
        self._aead: aead.Aead = handle.primitive(aead.Aead)

    async def wrap(self, plain: bytes, context: bytes) -> bytes:
        return bytes(self._aead.encrypt(plain, context))

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return bytes(self._aead.decrypt(wrapped, context))
        except tink.TinkError:
            raise MasterKeyError("The master key does not open what is sealed.") from None


def generate() -> str:
    """A new master key: a Tink JSON keyset with one AES-256-GCM key."""
    aead.register()
    handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
    return str(json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN))


def parse(text: str, source: str) -> LocalMasterKey:
    """A master key from a Tink JSON keyset, or from the Base64 of one (for the environment).

    Raises:
        MasterKeyError: it is neither; names ``source``, never the text.
    """
    aead.register()
    text = decode(text)
    try:
        return LocalMasterKey(json_proto_keyset_format.parse(text, secret_key_access.TOKEN))
    except tink.TinkError:
        raise MasterKeyError(
            f"{source} does not hold a master key: expected a Tink JSON keyset, "
            "as the first start of Pullpass writes it, or its Base64."
        ) from None


def decode(text: str) -> str:
    """The JSON in ``text``, which is that or its Base64; empty where it is neither."""
    text = text.strip()
    if text.startswith("{"):
        return text
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def read_file(path: Path) -> LocalMasterKey | None:
    """The master key in ``path``, or None where there is no such file.

    Raises:
        MasterKeyError: the file cannot be read, or holds no key.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise MasterKeyError(f"The master key file {path} cannot be read: {error}.") from None
    return parse(text, f"The master key file {path}")


def create_file(path: Path) -> LocalMasterKey:
    """Write a new master key to ``path`` (mode 0600, durable), or read the one that another
    process put there meanwhile.

    Raises:
        MasterKeyError: the file cannot be written.
    """
    text = generate()
    # The name appears only with the whole content behind it, and only where none was before.
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise MasterKeyError(f"The master key file {path} cannot be written: {error}.") from None
    key = read_file(path)
    if key is None:
        raise MasterKeyError(f"The master key file {path} vanished while it was created.")
    return key


def replace_file(path: Path, text: str) -> None:
    """Put ``text`` in the place of what is in ``path``, at once and durably (mode 0600).

    Raises:
        MasterKeyError: it cannot be written; what was there before is there unchanged.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise MasterKeyError(
            f"The master key file {path} cannot be written: {error.strerror}."
        ) from None
    finally:
        fresh.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
