"""One upstream call per window, whoever asks; and what is handed out when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullpass.broker.issuing import Demand, Issuer
from pullpass.broker.schedule import Schedule
from pullpass.domain import draft as drafts
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.domain.identity import Organization, User, UserType
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.exchange.exchanger import Issued, Source
from pullpass.sealing import master_key
from pullpass.sealing.keyring import Keyring
from pullpass.store.engine import Database
from pullpass.store.identity import IdentityStore
from pullpass.store.issued import IssuedStore
from pullpass.store.keys import KeyStore
from pullpass.store.migrations import migrate
from pullpass.store.records import RecordStore

START = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
CREDS = Credential("AKIAIOSFODNN7EXAMPLE", Secret("canary-long-lived/5d1f"))


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@dataclass
class Upstream:
    """An exchanger of the tests' own: issues numbered passwords, or fails as it is told; after
    ``seconds``, and not before ``answering`` is set, as they are when it is asked.
    """

    clock: Clock
    lifetime: timedelta = 12 * HOUR
    seconds: float = 0.05
    error: ExchangeFailed | None = None
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0
    revoked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answering.set()

    def hold(self) -> asyncio.Event:
        """Whoever asks from now on waits for the event; others may be let through meanwhile."""
        self.answering = asyncio.Event()
        return self.answering

    def scope(self, host: str) -> str:
        return host

    async def exchange(self, source: Source, now: datetime) -> Issued:
        self.calls += 1
        number, answering = self.calls, self.answering
        await asyncio.sleep(self.seconds)
        await answering.wait()
        if self.error is not None:
            raise self.error
        expires = self.clock() + self.lifetime
        credential = Credential("AWS", Secret(f"canary-issued-{number}"), expires)
        return Issued(credential, f"handle-{number}")

    async def revoke(self, source: Source, handle: str) -> None:
        self.revoked.append(handle)


class Counted:
    """Counts what the issuer reports."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.hits = 0
        self.ends: dict[str, datetime] = {}

    def issued(self, record_type: str) -> None:
        self.codes.append("issued")

    def served(self, record_type: str) -> None:
        self.hits += 1

    def failed(self, record_type: str, code: str) -> None:
        self.codes.append(code)

    def expires(self, organization: str, record_id: str, moment: datetime) -> None:
        self.ends[record_id] = moment


@dataclass
class Bench:
    """A database with records, an upstream, and as many issuers (replicas) as a test wants."""

    database: Database
    clock: Clock
    upstream: Upstream
    key: master_key.LocalMasterKey
    counted: Counted = field(default_factory=Counted)
    issuers: list[Issuer] = field(default_factory=list)

    def replica(self) -> Issuer:
        issuer = Issuer(
            IssuedStore(self.database),
            Keyring(self.key, KeyStore(self.database)),
            {RecordType.AMAZON_ECR: self.upstream, RecordType.GITLAB_DEPLOY_TOKEN: self.upstream},
            Schedule(),
            self.clock,
            self.counted,
        )
        self.issuers.append(issuer)
        return issuer

    async def ask(self, issuer: Issuer, record: Record, creds: Credential = CREDS) -> str:
        async def stored() -> Credential:
            return creds

        credential = await issuer.credential(Demand("acme", record, HOST, stored))
        return credential.password.reveal()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    database = await Database.open(f"sqlite:///{tmp_path / 'pullpass.db'}")
    await migrate(database)
    admin = User("admin", "admin", UserType.USER, START)
    await IdentityStore(database).create_organization(
        Organization("acme", "Acme", START, "admin"), admin, now=START
    )
    clock = Clock()
    found = Bench(database, clock, Upstream(clock), master_key.parse(master_key.generate(), "test"))
    yield found
    for issuer in found.issuers:
        await issuer.close()
    await database.close()


def a_record(record_id: str = "ecr", version: int = 1) -> Record:
    draft = drafts.parse(
        {
            "id": record_id,
            "registry": f"{HOST}/{record_id}",
            "type": "amazon_ecr",
            "creds": {"username": CREDS.username, "password": "x" * 40},
        }
    )
    return draft.record(created_at=START, created_by="admin", version=version)


def content_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_however_many_ask_on_however_many_replicas_there_is_one_call(bench: Bench) -> None:
    replicas = [bench.replica() for _ in range(3)]
    record = a_record()
    asked = [bench.ask(replica, record) for replica in replicas for _ in range(100)]
    assert set(await asyncio.gather(*asked)) == {"canary-issued-1"}
    assert bench.upstream.calls == 1
    assert await bench.ask(bench.replica(), record) == "canary-issued-1"
    assert bench.upstream.calls == 1


async def test_records_with_the_same_identity_share_a_credential(bench: Bench) -> None:
    replica = bench.replica()
    assert await bench.ask(replica, a_record("one")) == "canary-issued-1"
    assert await bench.ask(replica, a_record("two")) == "canary-issued-1"
    other = Credential(CREDS.username, Secret("another secret of the same name"))
    assert await bench.ask(replica, a_record("three"), other) == "canary-issued-2"


async def test_a_renewal_is_in_the_background_and_asks_once(bench: Bench) -> None:
    replicas = [bench.replica() for _ in range(3)]
    record = a_record()
    for replica in replicas:
        await bench.ask(replica, record)
    bench.clock.pass_(hours=9)
    renewal = bench.upstream.hold()
    asked = [bench.ask(replica, record) for replica in replicas for _ in range(50)]
    # Nobody waits: the old credential is valid.
    assert set(await asyncio.gather(*asked)) == {"canary-issued-1"}
    renewal.set()
    async with asyncio.timeout(60):
        while {await bench.ask(each, record) for each in replicas} != {"canary-issued-2"}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert bench.upstream.calls == 2


async def test_what_is_in_use_is_renewed_without_being_asked_for(bench: Bench) -> None:
    replica = bench.replica()
    await bench.ask(replica, a_record())
    bench.clock.pass_(hours=9)
    running = asyncio.create_task(replica.run())
    await until(lambda: bench.upstream.calls == 2)
    running.cancel()


async def test_what_is_not_in_use_is_not_renewed(bench: Bench) -> None:
    replica = bench.replica()
    await bench.ask(replica, a_record())
    bench.clock.pass_(hours=13)
    running = asyncio.create_task(replica.run())
    await asyncio.sleep(1.3)
    running.cancel()
    assert bench.upstream.calls == 1


@pytest.mark.parametrize(
    ("lifetime", "left", "waits"),
    [
        (timedelta(hours=12), timedelta(minutes=16), False),
        (timedelta(hours=12), timedelta(minutes=14), True),
        # Fifteen minutes of fifteen cannot be promised: a quarter is.
        (timedelta(minutes=15), timedelta(minutes=4), False),
        (timedelta(minutes=15), timedelta(minutes=3), True),
    ],
)
async def test_what_is_handed_out_has_a_useful_life_left(
    bench: Bench, lifetime: timedelta, left: timedelta, waits: bool
) -> None:
    bench.upstream.lifetime = lifetime
    replica, record = bench.replica(), a_record()
    await bench.ask(replica, record)
    bench.clock.now += lifetime - left
    expected = "canary-issued-2" if waits else "canary-issued-1"
    assert await bench.ask(replica, record) == expected


async def test_through_an_outage_the_last_good_credential_is_served_until_it_ends(
    bench: Bench,
) -> None:
    replica, record = bench.replica(), a_record()
    await bench.ask(replica, record)
    bench.upstream.error = ExchangeUnavailable("ECR cannot be reached.")
    for hours in (9, 2, 0.9):
        bench.clock.pass_(hours=hours)
        for _ in range(20):
            assert await bench.ask(replica, record) == "canary-issued-1"
        assert await bench.ask(bench.replica(), record) == "canary-issued-1"
    bench.clock.pass_(hours=0.2)
    with pytest.raises(ExchangeFailed) as caught:
        await bench.ask(replica, record)
    assert caught.value.code == "upstream_unavailable"

    bench.upstream.error = None
    bench.clock.pass_(minutes=2)
    assert (await bench.ask(replica, record)).startswith("canary-issued-")
    assert await bench.ask(bench.replica(), record)


async def test_an_outage_is_not_hammered(bench: Bench) -> None:
    bench.upstream.error = ExchangeUnavailable("ECR cannot be reached.")
    replicas, record = [bench.replica() for _ in range(3)], a_record()
    calls = 0
    for _ in range(20):
        asked = [bench.ask(replica, record) for replica in replicas for _ in range(10)]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, ExchangeFailed)
            assert answer.retry_after is not None
        assert bench.upstream.calls <= calls + 1
        calls = bench.upstream.calls
        bench.clock.pass_(seconds=10)
    # 1, 2, 4, 8, 16, 32, 60… seconds with jitter: about eight calls in 200 seconds.
    assert 4 <= calls <= 10


async def test_a_refused_credential_is_asked_for_less_and_less_until_the_record_changes(
    bench: Bench,
) -> None:
    bench.upstream.error = ExchangeRejected("ECR refuses the access key.")
    replica, record = bench.replica(), a_record()
    for _ in range(60):
        with pytest.raises(ExchangeFailed, match="refuses the access key") as caught:
            await bench.ask(replica, record)
        assert caught.value.code == "upstream_rejected"
        bench.clock.pass_(minutes=1)
    assert bench.upstream.calls <= 7
    calls = bench.upstream.calls

    bench.upstream.error = None
    mended = Credential(CREDS.username, Secret("the right secret access key"))
    assert await bench.ask(replica, a_record(version=2), mended)
    assert bench.upstream.calls == calls + 1


async def test_throttling_waits_as_long_as_the_upstream_says(bench: Bench) -> None:
    bench.upstream.error = ExchangeThrottled("ECR is asked too often.", retry_after=120)
    replica, record = bench.replica(), a_record()
    for expected_calls, seconds in ((1, 0), (1, 60), (1, 59), (2, 2)):
        bench.clock.pass_(seconds=seconds)
        with pytest.raises(ExchangeFailed) as caught:
            await bench.ask(replica, record)
        assert caught.value.code == "upstream_throttled"
        assert bench.upstream.calls == expected_calls


async def test_a_changed_record_drops_what_was_issued(bench: Bench) -> None:
    store = RecordStore(bench.database)
    record = await store.create("acme", a_record(), b"sealed", now=START)
    here, there = bench.replica(), bench.replica()
    for replica in (here, there):
        assert await bench.ask(replica, record) == "canary-issued-1"

    ending = await here.ending("acme", record, CREDS)
    changed = await store.replace(
        "acme",
        record,
        b"sealed",
        if_version=record.version,
        now=START,
        ends_identity=ending.identity,
    )
    assert changed is not None
    here.end(ending)
    for replica in (here, there):
        replica.forget("acme", record.id)
        assert await bench.ask(replica, changed) == "canary-issued-2"
    await until(lambda: bench.upstream.revoked == ["handle-1"])
    assert bench.upstream.calls == 2


async def test_what_comes_back_after_the_record_was_changed_is_not_kept(bench: Bench) -> None:
    store = RecordStore(bench.database)
    record = await store.create("acme", a_record(), b"sealed", now=START)
    replica = bench.replica()
    answer = bench.upstream.hold()
    waiting = asyncio.create_task(bench.ask(replica, record))
    await until(lambda: bench.upstream.calls == 1)
    ending = await replica.ending("acme", record, CREDS)
    assert await store.delete(
        "acme", record.id, if_version=None, now=START, ends_identity=ending.identity
    )
    answer.set()
    assert await waiting == "canary-issued-1"
    assert await bench.ask(replica, record) == "canary-issued-2"


async def test_a_lease_whose_holder_died_ends(bench: Bench) -> None:
    record = a_record()
    dead = bench.replica()
    bench.upstream.seconds = 60
    waiting = asyncio.create_task(bench.ask(dead, record))
    await until(lambda: bench.upstream.calls == 1)
    bench.upstream.seconds = 0
    other = asyncio.create_task(bench.ask(bench.replica(), record))
    await asyncio.sleep(0.3)
    assert not other.done()
    bench.clock.pass_(seconds=31)
    assert await other == "canary-issued-2"
    waiting.cancel()


async def test_a_slow_answer_of_a_lost_lease_does_not_replace_the_new_one(bench: Bench) -> None:
    record, slow, quick = a_record(), bench.replica(), bench.replica()
    answer = bench.upstream.hold()
    waiting = asyncio.create_task(bench.ask(slow, record))
    await until(lambda: bench.upstream.calls == 1)
    bench.upstream.hold().set()
    bench.clock.pass_(seconds=31)
    assert await bench.ask(quick, record) == "canary-issued-2"
    answer.set()
    await waiting
    assert await bench.ask(bench.replica(), record) == "canary-issued-2"


async def test_a_request_that_goes_away_does_not_end_the_call_for_the_others(
    bench: Bench,
) -> None:
    replica, record = bench.replica(), a_record()
    answer = bench.upstream.hold()
    first = asyncio.create_task(bench.ask(replica, record))
    second = asyncio.create_task(bench.ask(replica, record))
    await until(lambda: bench.upstream.calls == 1)
    first.cancel()
    answer.set()
    assert await second == "canary-issued-1"
    assert bench.upstream.calls == 1


async def test_nothing_is_stored_or_said_in_clear(bench: Bench, tmp_path: Path) -> None:
    replica, record = bench.replica(), a_record()
    await bench.ask(replica, record)
    demand_repr = repr(replica.__dict__)
    bench.upstream.error = ExchangeRejected("ECR refuses the access key.")
    await bench.database.close()
    assert b"canary" not in content_of(tmp_path)
    assert "canary" not in demand_repr


async def test_it_reports_what_it_does(bench: Bench) -> None:
    replica, record = bench.replica(), a_record()
    await bench.ask(replica, record)
    await bench.ask(replica, record)
    assert bench.counted.ends == {"ecr": START + 12 * HOUR}
    assert bench.counted.hits == 1
    bench.upstream.error = ExchangeUnavailable("ECR cannot be reached.")
    bench.clock.pass_(hours=13)
    with pytest.raises(ExchangeFailed):
        await bench.ask(replica, record)
    assert bench.counted.codes == ["issued", "upstream_unavailable"]
