"""Where benchmarks run: databases that reach the disk, with as many records as are wanted."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from pullpass.broker.vault import Vault
from pullpass.domain.credential import Credential, Secret
from pullpass.sealing.keyring import Keyring
from pullpass.server.settings import load
from pullpass.server.startup import prepare
from pullpass.store.keys import KeyStore
from pullpass.store.schema import records
from tests.parts.postgres import PostgresCluster
from tests.parts.server import initialize

ORGANIZATION = "acme"
_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Place:
    """A data directory and the settings of a server on it, already initialized."""

    name: str
    folder: Path
    env: Mapping[str, str]
    token: str


@contextlib.contextmanager
def places(kinds: tuple[str, ...] = ("sqlite", "postgresql")) -> Iterator[Places]:
    """Room for servers on SQLite and on a PostgreSQL that syncs; all of it goes in the end."""
    folder = Path(tempfile.mkdtemp(prefix="pullpass-bench-"))
    # Not below a directory that only root may enter.
    cluster_folder = Path(tempfile.mkdtemp(prefix="pullpass-bench-pg-"))
    cluster = PostgresCluster(cluster_folder) if "postgresql" in kinds else None
    try:
        if cluster is not None:
            cluster.sql("ALTER SYSTEM SET fsync = on")
            cluster.sql("ALTER SYSTEM SET shared_buffers = '256MB'")
            cluster.stop()
            cluster.start()
        yield Places(folder, cluster)
    finally:
        if cluster is not None:
            cluster.stop("immediate")
        shutil.rmtree(folder)
        shutil.rmtree(cluster_folder)


class Places:
    """Makes places; ``cluster`` is None where only SQLite is wanted."""

    def __init__(self, folder: Path, cluster: PostgresCluster | None) -> None:
        self._folder = folder
        self._cluster = cluster
        self._count = 0

    def url(self) -> str:
        """A new PostgreSQL database."""
        assert self._cluster is not None
        return self._cluster.url(self._cluster.create_database())

    def sql(self, place: Place, statement: str) -> None:
        """Run ``statement`` in the PostgreSQL database of ``place``."""
        assert self._cluster is not None
        self._cluster.sql(statement, place.env["PULLPASS_DATABASE"].rpartition("/")[2])

    def make(self, kind: str, count: int) -> Place:
        """A new place with ``count`` records."""
        self._count += 1
        folder = self._folder / f"{kind}-{self._count}"
        # One token asks for all.
        env = {"PULLPASS_REQUESTS_PER_SECOND": "0"}
        if kind == "postgresql":
            env["PULLPASS_DATABASE"] = self.url()
        token = initialize(folder, ORGANIZATION, env=env)
        asyncio.run(_fill(folder, env, count))
        return Place(kind, folder, env, token)


def prefix(number: int) -> str:
    """The registry of the record of that number."""
    return f"r{number % 997}.example.com/team{number % 13}/app{number}"


def images_script(folder: Path, count: int) -> Path:
    """What tells wrk to ask for the images of ``count`` records, in an order that jumps about."""
    path = folder / f"images-{count}.lua"
    path.write_text(
        "local n = 0\n"
        "request = function()\n"
        f"  n = (n + 7919) % {count}\n"
        '  local image = "r" .. n % 997 .. ".example.com/team" .. n % 13 .. "/app" .. n\n'
        '  return wrk.format("GET", "/orgs/acme/image-creds?image=" .. image .. "/x:1")\n'
        "end\n"
    )
    return path


async def _fill(folder: Path, env: Mapping[str, str], count: int) -> None:
    prepared = await prepare(load({"data_dir": str(folder)}, env))
    now = datetime.now(UTC)
    vault = Vault(Keyring(prepared.master_key, KeyStore(prepared.database)), lambda: now)
    for start in range(0, count, _CHUNK):
        rows = []
        for number in range(start, min(count, start + _CHUNK)):
            creds = Credential("bot", Secret(f"password-{number}"))
            record_id = f"record-{number:07}"
            rows.append(
                {
                    "organization_id": ORGANIZATION,
                    "id": record_id,
                    "registry": prefix(number),
                    "prefix": prefix(number),
                    "type": "basic",
                    "enable_ci": False,
                    "sealed_creds": await vault.seal(ORGANIZATION, record_id, creds),
                    "created_at": now,
                    "version": 1,
                }
            )
        async with prepared.database.write() as connection:
            await connection.execute(insert(records), rows)
    await prepared.database.close()
