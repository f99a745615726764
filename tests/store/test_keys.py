from __future__ import annotations

import asyncio

import pytest

from pullpass.domain.errors import NotFound
from pullpass.store.engine import Database
from pullpass.store.keys import KeyStore
from tests.store.values import NOW


async def test_a_setting_is_put_once(database: Database, replica: Database) -> None:
    keys = KeyStore(database)
    assert await keys.setting("master") is None
    assert await keys.put_setting_once("master", b"\x00first") == b"\x00first"
    assert await KeyStore(replica).put_setting_once("master", b"second") == b"\x00first"
    assert await keys.setting("master") == b"\x00first"


async def test_there_is_no_setting_before_the_first_migration(empty_url: str) -> None:
    database = await Database.open(empty_url)
    assert await KeyStore(database).setting("master") is None
    await database.close()


@pytest.mark.usefixtures("admin")
async def test_a_data_key_is_put_once_for_an_organization(database: Database) -> None:
    keys = KeyStore(database)
    assert await keys.data_key("acme") is None
    assert await keys.put_data_key_once("acme", b"first", now=NOW) == b"first"
    assert await keys.put_data_key_once("acme", b"second", now=NOW) == b"first"
    assert await keys.put_data_key_once("globex", b"other", now=NOW) == b"other"
    assert await keys.data_key("acme") == b"first"
    with pytest.raises(NotFound) as missing:
        await keys.put_data_key_once("initech", b"key", now=NOW)
    assert missing.value.code == "organization_not_found"


@pytest.mark.usefixtures("admin")
async def test_of_replicas_that_start_at_once_the_first_wins(
    database: Database, replica: Database
) -> None:
    stores = [KeyStore(database), KeyStore(replica)]
    settings = await asyncio.gather(
        *(stores[number % 2].put_setting_once("master", bytes([number])) for number in range(8))
    )
    data_keys = await asyncio.gather(
        *(
            stores[number % 2].put_data_key_once("acme", bytes([number]), now=NOW)
            for number in range(8)
        )
    )
    assert set(settings) == {await stores[0].setting("master")}
    assert set(data_keys) == {await stores[0].data_key("acme")}
