"""Opening the database with the right master key, before anything else happens."""

from __future__ import annotations

from dataclasses import dataclass

from pullpass.broker.clock import utc_now
from pullpass.sealing import keyring, master_key
from pullpass.sealing.audit_key import (
    AUDIT_KEY_SETTING,
    AuditKey,
    AuditKeyMissing,
    new_audit_key,
    unwrap_audit_key,
)
from pullpass.sealing.keyring import CHECK_SETTING
from pullpass.sealing.master_key import FileMasterKey, KeyWrapper, MasterKeyError
from pullpass.server.settings import Settings
from pullpass.store.audit import AuditStore
from pullpass.store.engine import Database
from pullpass.store.keys import KeyStore
from pullpass.store.migrations import migrate


@dataclass(frozen=True, slots=True)
class Prepared:
    """The database at its newest schema, and the keys that it is sealed with."""

    database: Database
    master_key: KeyWrapper
    audit_key: AuditKey


async def prepare(settings: Settings) -> Prepared:
    """What everything else needs; the caller closes the database.

    On the very first start a master key is made where none is given. Nothing is changed where
    the key is missing or another one.

    Raises:
        MasterKeyError: as just said.
        AuditKeyMissing: as its name says.
        StoreUnavailable: the database cannot be reached or written.
        SchemaTooNew: a newer version of Pullpass has been here.
    """
    database = await Database.open(settings.database)
    try:
        keys = KeyStore(database)
        check = await keys.setting(CHECK_SETTING)
        key = _master_key(settings, may_create=check is None)
        if check is not None:
            await keyring.verify(key, check, _source(settings))
        await migrate(database)
        if check is None:
            # Another replica may be first: what it has put there is what counts.
            mine = await keyring.new_check(key)
            check = await keys.put_setting_once(CHECK_SETTING, mine)
            await keyring.verify(key, check, _source(settings))
        audit_key = await _audit_key(database, keys, key)
    except BaseException:
        await database.close()
        raise
    return Prepared(database, key, audit_key)


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


def _master_key(settings: Settings, *, may_create: bool) -> KeyWrapper:
    if settings.master_key is not None:
        return master_key.parse(settings.master_key, "PULLPASS_MASTER_KEY")
    path = settings.master_key_file
    if master_key.read_file(path) is not None:
        return FileMasterKey(path)
    if may_create:
        master_key.create_file(path)
        return FileMasterKey(path)
    raise MasterKeyError(
        f"The database is sealed with a master key, and there is none at {path}. "
        "Put the key file there, name it with PULLPASS_MASTER_KEY_FILE, or give the key itself "
        "in PULLPASS_MASTER_KEY. Nothing was changed."
    )


def _source(settings: Settings) -> str:
    if settings.master_key is not None:
        return "PULLPASS_MASTER_KEY"
    return str(settings.master_key_file)
