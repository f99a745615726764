"""Opening the database with the right master key, before anything else happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pullpass.broker.clock import utc_now
from pullpass.domain.errors import StoreUnavailable
from pullpass.sealing import keyring
from pullpass.sealing.audit_key import (
    AUDIT_KEY_SETTING,
    AuditKey,
    AuditKeyMissing,
    new_audit_key,
    unwrap_audit_key,
)
from pullpass.sealing.key_homes import FileHome, HomeMasterKey, KeyHome
from pullpass.sealing.keyring import CHECK_SETTING
from pullpass.sealing.keyset import Keyset
from pullpass.sealing.master_key import KeyWrapper, MasterKeyError
from pullpass.server import master_keys
from pullpass.server.settings import Settings
from pullpass.store.audit import AuditStore
from pullpass.store.engine import Database, NoDatabase
from pullpass.store.keys import KeyStore
from pullpass.store.migrations import migrate, schema_version


@dataclass(frozen=True, slots=True)
class Prepared:
    """The database at its newest schema, and the keys that it is sealed with; ``home`` is where
    the master key is kept, None where that is the environment.
    """

    database: Database
    master_key: KeyWrapper
    audit_key: AuditKey
    home: KeyHome | None


async def existing(settings: Settings) -> Database:
    """The database for what makes no sense on a new one, which a mistyped setting would make;
    the caller closes it.

    Raises:
        NoDatabase: as its name says.
        StoreUnavailable: the database cannot be reached.
    """
    database = await Database.open(settings.database, create=False)
    try:
        if await schema_version(database) is None:
            raise NoDatabase("The database holds no tables of Pullpass.")
    except BaseException:
        await database.close()
        raise
    return database


async def prepare(settings: Settings, *, create: bool = True) -> Prepared:
    """What everything else needs; the caller closes the database.

    On the very first start, which ``create`` allows, a master key is made where none is given.
    Nothing is changed where the key is missing or another one.

    Raises:
        NoDatabase: there is none, and none may be created.
        MasterKeyError: as just said.
        MasterKeyUnavailable: what wraps it does not answer, for longer than a start may take.
        AuditKeyMissing: as its name says.
        StoreUnavailable: the database cannot be reached or written.
        SchemaTooNew: a newer version of Pullpass has been here.
    """
    with naming_the_file(settings):
        return await _prepare(settings, create=create)


@contextmanager
def naming_the_file(settings: Settings) -> Iterator[None]:
    """Add to a StoreUnavailable which file the database is in: what an answer over HTTP does not
    tell, whoever is on the server's machine has to know.
    """
    try:
        yield
    except StoreUnavailable as error:
        file = settings.database.removeprefix("sqlite:///")
        if file == settings.database:
            raise
        raise StoreUnavailable(f"{error.message} It should be in {file}.") from error


async def _prepare(settings: Settings, *, create: bool) -> Prepared:
    database = await (Database.open(settings.database) if create else existing(settings))
    try:
        keys = KeyStore(database)
        check = await keys.setting(CHECK_SETTING)
        if settings.master_key is not None:
            home, source = None, "PULLPASS_MASTER_KEY"
            key: KeyWrapper = Keyset.parse(settings.master_key, source).key
        else:
            home = master_keys.home(settings, keys)
            source = home.where
            await _find(database, home, may_create=check is None)
            key = HomeMasterKey(home)
        if check is not None:
            await keyring.verify(key, check, source)
        await migrate(database)
        if check is None:
            # Another replica may be first: what it has put there is what counts.
            mine = await keyring.new_check(key)
            check = await keys.put_setting_once(CHECK_SETTING, mine)
            await keyring.verify(key, check, source)
        audit_key = await _audit_key(database, keys, key)
    except BaseException:
        await database.close()
        raise
    return Prepared(database, key, audit_key, home)


async def _audit_key(database: Database, keys: KeyStore, key: KeyWrapper) -> AuditKey:
    wrapped = await keys.setting(AUDIT_KEY_SETTING)
    if wrapped is None:
        mine = await new_audit_key(key)
        store = AuditStore(database, await unwrap_audit_key(key, mine))
        if not await store.is_empty():
            raise AuditKeyMissing(
                "There is an audit log in the database, and the key that it was sealed with is "
                "gone from its settings: restore the database from a backup. Nothing was changed."
            )
        wrapped = await keys.put_setting_once(
            AUDIT_KEY_SETTING, mine, then=store.beginning(utc_now())
        )
    return await unwrap_audit_key(key, wrapped)


async def _find(database: Database, home: KeyHome, *, may_create: bool) -> None:
    if await master_keys.read_patiently(home) is not None:
        return
    if not may_create:
        raise MasterKeyError(
            f"The database is sealed with a master key, and there is none at {home.where}. Put the "
            "key file there, or say where the key is with PULLPASS_MASTER_KEY_FILE, "
            "PULLPASS_MASTER_KEY_URI or PULLPASS_MASTER_KEY. To bring it to another place: "
            "pullpass keys move. Nothing was changed."
        )
    if not isinstance(home, FileHome):
        await migrate(database)
    await home.create()
