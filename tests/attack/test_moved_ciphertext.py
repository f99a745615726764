"""Whoever can write to the database, and has no key, moves what is sealed to where it is theirs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pullpass.broker.vault import Vault
from pullpass.domain.credential import Credential, Secret
from pullpass.sealing.key_homes import FileHome, HomeMasterKey
from pullpass.sealing.keyring import Keyring, Place, SealBroken
from pullpass.sealing.master_key import MasterKeyError
from pullpass.server import founding
from pullpass.store.engine import Database
from pullpass.store.keys import KeyStore
from pullpass.store.records import RecordStore
from tests.api.conftest import options_for
from tests.store.values import NOW, a_record

SECRET = Credential("bot", Secret("moved-canary-31"))
ORGANIZATIONS = ("acme", "globex")


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A database with the records `one` and `two` in each of two organizations."""
    for organization in ORGANIZATIONS:
        await founding.found(options_for(tmp_path), organization, organization)
    database = await Database.open(f"sqlite:///{tmp_path}/pullpass.db")
    vault, records = vault_of(tmp_path, database), RecordStore(database)
    for organization in ORGANIZATIONS:
        for name in ("one", "two"):
            sealed = await vault.seal(organization, name, SECRET)
            await records.create(organization, a_record(name), sealed, now=NOW)
    await database.close()
    return tmp_path


def vault_of(data: Path, database: Database) -> Vault:
    key = HomeMasterKey(FileHome(data / "master.key"))
    return Vault(Keyring(key, KeyStore(database)), lambda: NOW)


def change(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "pullpass.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)


async def opened(data: Path, organization: str, record: str) -> Credential | None:
    """What a process that starts now opens the record's credential to."""
    database = await Database.open(f"sqlite:///{data}/pullpass.db")
    try:
        stored = await RecordStore(database).get(organization, record)
        assert stored is not None
        return await vault_of(data, database).open(organization, record, stored.sealed)
    finally:
        await database.close()


SEALED = "(SELECT sealed_creds FROM records WHERE organization_id = '{}' AND id = '{}')"


@pytest.mark.parametrize(
    ("source", "how"),
    [
        (("acme", "two"), "another record"),
        (("globex", "one"), "the same record of another organization"),
    ],
)
async def test_a_credential_opens_in_its_own_row_alone(
    data: Path, source: tuple[str, str], how: str
) -> None:
    assert await opened(data, "acme", "one") == SECRET
    place = "organization_id = 'acme' AND id = 'one'"
    change(data, f"UPDATE records SET sealed_creds = {SEALED.format(*source)} WHERE {place}")
    with pytest.raises(SealBroken, match="does not open") as broken:
        await opened(data, "acme", "one")
    assert "canary" not in broken.value.message
    assert await opened(data, *source) == SECRET


async def test_a_row_that_is_renamed_opens_no_more(data: Path) -> None:
    change(data, "UPDATE records SET id = 'mine' WHERE organization_id = 'acme' AND id = 'one'")
    with pytest.raises(SealBroken):
        await opened(data, "acme", "mine")


async def test_a_row_that_is_moved_with_its_data_key_opens_no_more(data: Path) -> None:
    """The data key of acme put in the place of that of globex, and the record with it."""
    wrapped = "(SELECT wrapped FROM data_keys WHERE organization_id = 'acme')"
    change(data, f"UPDATE data_keys SET wrapped = {wrapped} WHERE organization_id = 'globex'")
    stolen = SEALED.format("acme", "one")
    place = "organization_id = 'globex' AND id = 'one'"
    change(data, f"UPDATE records SET sealed_creds = {stolen} WHERE {place}")
    with pytest.raises(MasterKeyError):
        await opened(data, "globex", "one")


async def test_another_field_and_another_use_of_the_key_do_not_open(data: Path) -> None:
    database = await Database.open(f"sqlite:///{data}/pullpass.db")
    try:
        store = KeyStore(database)
        key = HomeMasterKey(FileHome(data / "master.key"))
        ring = Keyring(key, store)
        stored = await RecordStore(database).get("acme", "one")
        assert stored is not None
        assert stored.sealed is not None
        for field in ("issued", "creds\0", "cred", ""):
            with pytest.raises(SealBroken):
                await ring.open(Place("acme", "one", field), stored.sealed)
        wrapped = await store.data_key("acme")
        assert wrapped is not None
        # What wraps an organization's data key is no audit key and no check.
        for context in (b"pullpass/audit-key", b"pullpass/master-key-check", b""):
            with pytest.raises(MasterKeyError):
                await key.unwrap(wrapped, context)
    finally:
        await database.close()


async def test_every_changed_byte_is_noticed(data: Path) -> None:
    database = await Database.open(f"sqlite:///{data}/pullpass.db")
    try:
        vault = vault_of(data, database)
        stored = await RecordStore(database).get("acme", "one")
        assert stored is not None
        assert stored.sealed is not None
        for position in range(len(stored.sealed)):
            changed = bytearray(stored.sealed)
            changed[position] ^= 1
            with pytest.raises(SealBroken):
                await vault.open("acme", "one", bytes(changed))
        for cut in (b"", stored.sealed[:1], stored.sealed[:-1], stored.sealed + b"\0"):
            with pytest.raises(SealBroken):
                await vault.open("acme", "one", cut)
    finally:
        await database.close()
