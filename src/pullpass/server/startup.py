"""Opening the database with the right master key, before anything else happens."""

from __future__ import annotations

from pullpass.sealing import keyring, master_key
from pullpass.sealing.keyring import CHECK_SETTING
from pullpass.sealing.master_key import LocalMasterKey, MasterKeyError
from pullpass.server.settings import Settings
from pullpass.store.engine import Database
from pullpass.store.keys import KeyStore
from pullpass.store.migrations import migrate


async def prepare(settings: Settings) -> tuple[Database, LocalMasterKey]:
    """The database at its newest schema, and the master key that it is sealed with.

    On the very first start a master key is made where none is given. Nothing is changed where
    the key is missing or another one.

    Raises:
        MasterKeyError: as just said.
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
    except BaseException:
        await database.close()
        raise
    return database, key


def _master_key(settings: Settings, *, may_create: bool) -> LocalMasterKey:
    if settings.master_key is not None:
        return master_key.parse(settings.master_key, "PULLPASS_MASTER_KEY")
    path = settings.master_key_file
    key = master_key.read_file(path)
    if key is not None:
        return key
    if may_create:
        return master_key.create_file(path)
    raise MasterKeyError(
        f"The database is sealed with a master key, and there is none at {path}. "
        "Put the key file there, name it with PULLPASS_MASTER_KEY_FILE, or give the key itself "
        "in PULLPASS_MASTER_KEY. Nothing was changed."
    )


def _source(settings: Settings) -> str:
    if settings.master_key is not None:
        return "PULLPASS_MASTER_KEY"
    return str(settings.master_key_file)
