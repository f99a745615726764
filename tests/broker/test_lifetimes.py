"""What is tried before it is stored leaves nothing; how long what is handed out lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.lifetimes import Lifetime, Lifetimes
from pullpass.broker.vault import Vault
from pullpass.domain.access import Caller
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.draft import parse
from pullpass.domain.errors import ExchangeFailed, ExchangeRejected
from pullpass.domain.identity import Membership, Principal, Role, User, UserType
from pullpass.domain.record import Record
from pullpass.sealing.keyring import Keyring
from pullpass.store.issued import IssuedStore
from pullpass.store.keys import KeyStore
from pullpass.store.records import RecordStore
from tests.broker.test_issuing import HOST, START, Bench
from tests.broker.test_issuing import bench as bench

CALLER = Caller(
    Principal(User("admin", "admin", UserType.USER, START), "first"), "acme", Membership(Role.ADMIN)
)
CREDS = Credential("AKIAIOSFODNN7EXAMPLE", Secret("canaryLongLived5d1f"))
ECR: dict[str, object] = {
    "id": "ecr",
    "registry": HOST,
    "type": "amazon_ecr",
    "creds": {"username": CREDS.username, "password": CREDS.password.reveal()},
}


@pytest.fixture
def vault(bench: Bench) -> Vault:
    return Vault(Keyring(bench.key, KeyStore(bench.database)), bench.clock)


@pytest.fixture
def lifetimes(bench: Bench, vault: Vault) -> Lifetimes:
    records, issued = RecordStore(bench.database), IssuedStore(bench.database)
    return Lifetimes(records, BuiltinRecords(), issued, vault)


async def store(bench: Bench, vault: Vault, fields: dict[str, object]) -> Record:
    draft = parse(fields)
    sealed = await vault.seal("acme", draft.id, draft.creds)
    record = draft.record(created_at=START, created_by="admin")
    return await RecordStore(bench.database).create("acme", record, sealed, now=START)


async def test_a_trial_is_not_kept(bench: Bench) -> None:
    record = parse(ECR).record(created_at=None, created_by=None)
    issuer = bench.replica()
    credential = await issuer.trial(record, CREDS, HOST)
    assert credential.password.reveal() == "canary-issued-1"
    # Whoever asks for a record of that identity gets one of their own.
    assert await bench.ask(bench.replica(), record, CREDS) == "canary-issued-2"
    bench.upstream.error = ExchangeRejected("No.")
    with pytest.raises(ExchangeRejected):
        await issuer.trial(record, CREDS, HOST)


async def test_of_an_exchanged_record_it_is_that_of_what_was_issued(
    bench: Bench, vault: Vault, lifetimes: Lifetimes
) -> None:
    record = await store(bench, vault, ECR)
    assert await lifetimes.of(CALLER, [record]) == {}
    await bench.ask(bench.replica(), record, CREDS)
    found = (await lifetimes.of(CALLER, [record]))["ecr"]
    assert found.ends_at == START + timedelta(hours=12)
    assert found.renews_at is not None
    assert START < found.renews_at < found.ends_at
    assert found.problem is None


async def test_a_failure_is_told_with_the_time_of_the_next_try(
    bench: Bench, vault: Vault, lifetimes: Lifetimes
) -> None:
    record = await store(bench, vault, ECR)
    bench.upstream.error = ExchangeRejected("The key is gone.")
    with pytest.raises(ExchangeFailed):
        await bench.ask(bench.replica(), record, CREDS)
    found = (await lifetimes.of(CALLER, [record]))["ecr"]
    assert found.problem == "The key is gone."
    assert found.retry_at is not None
    assert found.ends_at is None


async def test_of_a_stored_credential_it_is_the_end_that_was_written_down(
    bench: Bench, vault: Vault, lifetimes: Lifetimes
) -> None:
    base = {"type": "basic", "creds": {"username": "bot", "password": "pw"}}
    ends = {"username": "bot", "password": "pw", "expires": "2030-01-31T00:00:00Z"}
    without = await store(bench, vault, {**base, "id": "without", "registry": "b.io"})
    with_end = await store(bench, vault, {**base, "id": "with", "registry": "a.io", "creds": ends})
    found = await lifetimes.of(CALLER, [with_end, without])
    assert found == {"with": Lifetime(datetime(2030, 1, 31, tzinfo=UTC))}


async def test_a_credential_that_does_not_open_is_left_out(
    bench: Bench, vault: Vault, lifetimes: Lifetimes
) -> None:
    record = await store(bench, vault, ECR)
    await bench.ask(bench.replica(), record, CREDS)
    assert list(await lifetimes.of(CALLER, [record, await copied(bench, vault)])) == ["ecr"]


async def copied(bench: Bench, vault: Vault) -> Record:
    """A record with the sealed credential of another: as if its row had been copied."""
    sealed = await vault.seal("acme", "ecr", Credential("bot", Secret("pw")))
    draft = parse({"id": "copied", "registry": "c.io", "type": "public"})
    record = draft.record(created_at=START, created_by="admin")
    return await RecordStore(bench.database).create("acme", record, sealed, now=START)
