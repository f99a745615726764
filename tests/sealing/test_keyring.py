"""What is sealed opens at its own place only, with the right master key only."""

from __future__ import annotations

import base64
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pullpass.sealing import keyring, master_key
from pullpass.sealing.keyring import Keyring, Place, SealBroken
from pullpass.sealing.master_key import MasterKeyError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = Place("acme", "ghcr", "creds")
PLAIN = b"canary-51aa"


class Shelf:
    """Data keys in memory, with the store's rule: the first one put stays."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def data_key(self, organization: str) -> bytes | None:
        return self.kept.get(organization)

    async def put_data_key_once(self, organization: str, wrapped: bytes, *, now: datetime) -> bytes:
        return self.kept.setdefault(organization, wrapped)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def key() -> master_key.LocalMasterKey:
    return master_key.parse(master_key.generate(), "test")


async def test_what_is_sealed_opens_again_also_in_another_process(
    key: master_key.LocalMasterKey, shelf: Shelf
) -> None:
    sealed = await Keyring(key, shelf).seal(PLACE, PLAIN, now=NOW)
    assert PLAIN not in sealed
    assert PLAIN not in b"".join(shelf.kept.values())
    assert await Keyring(key, shelf).open(PLACE, sealed) == PLAIN


async def test_sealing_the_same_twice_gives_different_bytes(
    key: master_key.LocalMasterKey, shelf: Shelf
) -> None:
    ring = Keyring(key, shelf)
    assert await ring.seal(PLACE, PLAIN, now=NOW) != await ring.seal(PLACE, PLAIN, now=NOW)


@pytest.mark.parametrize(
    "other",
    [
        Place("acme", "other", "creds"),
        Place("acme", "ghcr", "issued"),
        Place("rival", "ghcr", "creds"),
    ],
    ids=["another record", "another field", "another organization"],
)
async def test_a_sealed_value_does_not_open_at_another_place(
    key: master_key.LocalMasterKey, shelf: Shelf, other: Place
) -> None:
    ring = Keyring(key, shelf)
    sealed = await ring.seal(PLACE, PLAIN, now=NOW)
    await ring.seal(other, b"something", now=NOW)
    with pytest.raises(SealBroken, match=other.record):
        await ring.open(other, sealed)


async def test_a_data_key_does_not_work_for_another_organization(
    key: master_key.LocalMasterKey, shelf: Shelf
) -> None:
    await Keyring(key, shelf).seal(PLACE, PLAIN, now=NOW)
    shelf.kept["rival"] = shelf.kept["acme"]
    with pytest.raises(MasterKeyError):
        await Keyring(key, shelf).seal(Place("rival", "ghcr", "creds"), PLAIN, now=NOW)


async def test_no_single_changed_byte_goes_unseen(
    key: master_key.LocalMasterKey, shelf: Shelf
) -> None:
    ring = Keyring(key, shelf)
    sealed = await ring.seal(PLACE, PLAIN, now=NOW)
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(SealBroken):
            await ring.open(PLACE, bytes(altered))
    for cut in (b"", sealed[:1], sealed[:-1], sealed + b"\0"):
        with pytest.raises(SealBroken):
            await ring.open(PLACE, cut)


async def test_another_master_key_is_told_apart(key: master_key.LocalMasterKey) -> None:
    check = await keyring.new_check(key)
    await keyring.verify(key, check, "the file")
    another = master_key.parse(master_key.generate(), "test")
    with pytest.raises(MasterKeyError, match="Nothing was changed"):
        await keyring.verify(another, check, "the file")


async def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "master.key"
    assert master_key.read_file(path) is None
    check = await keyring.new_check(master_key.create_file(path))
    content = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["master.key"]
    # A second process that starts at the same time takes the key that is there.
    await keyring.verify(master_key.create_file(path), check, "the file")
    assert path.read_bytes() == content


async def test_a_key_in_the_environment_may_be_base64() -> None:
    text = master_key.generate()
    check = await keyring.new_check(master_key.parse(text, "test"))
    encoded = base64.b64encode(text.encode()).decode()
    await keyring.verify(master_key.parse(f"{encoded}\n", "test"), check, "test")


@pytest.mark.parametrize("text", ["", "canary-99", "{}", '{"primaryKeyId": 1}', "Y2FuYXJ5"])
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MasterKeyError) as caught:
        master_key.parse(text, "PULLPASS_MASTER_KEY")
    assert "PULLPASS_MASTER_KEY" in caught.value.message
    assert "canary" not in caught.value.message
    assert "Y2Fu" not in caught.value.message


def test_an_unreadable_key_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="cannot be read"):
        master_key.read_file(tmp_path)
