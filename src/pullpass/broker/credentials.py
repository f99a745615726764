"""Which credential an image gets, and handing it out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field

from pullpass.broker.audit import Asked, Auditor
from pullpass.broker.builtins import BuiltinRecords
from pullpass.broker.issuing import Demand, Issuer
from pullpass.broker.records import record_not_found
from pullpass.broker.snapshot import Snapshot
from pullpass.broker.snapshots import Snapshots
from pullpass.broker.vault import Vault
from pullpass.domain import access
from pullpass.domain.access import Caller
from pullpass.domain.credential import Credential
from pullpass.domain.errors import (
    FieldProblem,
    InvalidFields,
    InvalidImageReference,
    InvalidRegistryPrefix,
    NotFound,
    PullpassError,
)
from pullpass.domain.image import ImageReference
from pullpass.domain.matching import Match
from pullpass.domain.prefix import RegistryPrefix, parse_helper_query
from pullpass.domain.record import Record, Secrets
from pullpass.domain.record_types import TYPE_RULES
from pullpass.store.records import RecordStore

# More of the same help nobody.
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """What leaves for a consumer: a credential, secret references, both, or neither."""

    record: Record
    credential: Credential | None
    secrets: Secrets | None


@dataclass(frozen=True, slots=True)
class ImageDelivery:
    """What one image of several gets; ``delivery`` is None where no record matches it."""

    reference: ImageReference
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class Held:
    """A record of an organization and its credential as the sealing left it."""

    organization: str
    record: Record
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class MatchedImage:
    """One image of a match request: its match, or the error where it is malformed."""

    image: str
    reference: ImageReference | None
    match: Match[Record] | None
    error: InvalidImageReference | None = None


class CredentialService:
    """Answers from the snapshot in memory; the database is asked only for what is not there.

    What is handed out, or refused, is in the audit log before it is answered: where that cannot
    be written, StoreUnavailable or Unavailable is raised and nothing is handed out.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        records: RecordStore,
        builtins: BuiltinRecords,
        vault: Vault,
        issuer: Issuer,
        audit: Auditor,
    ) -> None:
        self._issuer = issuer
        self._audit = audit
        self._snapshots = snapshots
        self._records = records
        self._builtins = builtins
        self._vault = vault

    async def match(self, caller: Caller, images: Iterable[str]) -> list[MatchedImage]:
        """Which record each image matches; malformed images are answered, not raised."""
        snapshot = await self._snapshots.get(caller.organization)
        return [_match(snapshot, image) for image in images]

    async def for_image(self, caller: Caller, image: str, cluster: str | None) -> Delivery:
        """The credential for ``image``: that of the most specific record that matches.

        Raises:
            InvalidImageReference: not an image reference.
            NotFound: no record matches (code ``no_match``).
            Forbidden: the record is not open to this caller.
            ExchangeFailed: the upstream gave no credential.
        """
        reference = ImageReference.parse(image)
        asked = Asked(image=image, cluster=cluster)
        return await self._audited(caller, asked, self._for_image(caller, reference, cluster))

    async def _for_image(
        self, caller: Caller, reference: ImageReference, cluster: str | None
    ) -> Delivery:
        snapshot = await self._snapshots.about(caller.organization, image=reference)
        record = snapshot.index.match(reference).winner
        if record is None:
            raise NotFound(
                f"No registry record matches {reference.domain}/{reference.repository}. "
                "Images without a record are pulled anonymously.",
                code="no_match",
            )
        held = await self._hold(caller, record.id, snapshot)
        return await self._deliver(caller, held, cluster, reference.host)

    async def for_images(self, caller: Caller, images: Sequence[str]) -> list[ImageDelivery]:
        """The credentials for ``images`` in their order, each record's once for each host.

        All or nothing: an image without a record is no error, but one whose credential cannot be
        had is, and then none is handed out.

        Raises:
            InvalidFields: some are no image references; all of those are named.
            Forbidden: some records are not open to this caller; all of those are named.
            ExchangeFailed: an upstream gave no credential.
        """
        references = _references(images)
        try:
            found = await self._for_images(caller, references)
        except PullpassError as error:
            await self._audit.refused(caller, Asked(image=", ".join(images)), error)
            raise
        await self._log_each(caller, images, found)
        return found

    async def _for_images(
        self, caller: Caller, references: Sequence[ImageReference]
    ) -> list[ImageDelivery]:
        snapshot = await self._snapshots.get(caller.organization)
        winners = [snapshot.index.match(reference).winner for reference in references]
        records = {record.id: record for record in winners if record is not None}
        access.require_credentials(caller, {r.id: r.enable_ci for r in records.values()})
        wanted = {
            (record.id, reference.host)
            for reference, record in zip(references, winners, strict=True)
            if record is not None
        }
        found = await self._deliver_all(caller, sorted(wanted))
        return [
            ImageDelivery(reference, found[record.id, reference.host] if record else None)
            for reference, record in zip(references, winners, strict=True)
        ]

    async def _log_each(
        self, caller: Caller, images: Sequence[str], found: Sequence[ImageDelivery]
    ) -> None:
        """One entry for each credential, with the images that it is for."""
        by_credential: dict[tuple[str, str], tuple[Delivery, list[str]]] = {}
        for image, each in zip(images, found, strict=True):
            if each.delivery is not None:
                key = each.delivery.record.id, each.reference.host
                by_credential.setdefault(key, (each.delivery, []))[1].append(image)
        await asyncio.gather(
            *(
                self._audit.delivered(
                    caller, Asked(image=", ".join(its)), delivery.record, delivery.credential
                )
                for delivery, its in by_credential.values()
            )
        )

    async def for_host(self, caller: Caller, host: str, cluster: str | None) -> Delivery:
        """The credential for a bare registry host, as a Docker credential helper is asked.

        Raises:
            InvalidFields: not a host.
            NotFound: no record for the host (``no_match``), or several with longer prefixes
                that do not agree (``ambiguous_host``, with the prefixes in the details).
            Forbidden, ExchangeFailed: as :meth:`for_image`.
        """
        query = _host_query(host)
        asked = Asked(host=host, cluster=cluster)
        return await self._audited(caller, asked, self._for_host(caller, query, cluster))

    async def _for_host(
        self, caller: Caller, query: RegistryPrefix, cluster: str | None
    ) -> Delivery:
        snapshot = await self._snapshots.get(caller.organization)
        found = snapshot.index.for_host(query.domain, query.path)
        if found.winner is not None:
            held = await self.hold(caller, found.winner.id)
            return await self._deliver(caller, held, cluster, query.domain)
        if not found.is_ambiguous:
            raise NotFound(f"No registry record is for the host {query}.", code="no_match")
        raise NotFound(
            f"A credential helper is asked for a host only, but {found.reason}. "
            "Use a Docker config with a key for each path.",
            code="ambiguous_host",
            details={"prefixes": list(found.prefixes), "total": found.count},
        )

    async def for_record(self, caller: Caller, record_id: str, cluster: str | None) -> Delivery:
        """The credential of one record.

        Raises:
            NotFound: no such record.
            Forbidden, ExchangeFailed: as :meth:`for_image`.
        """
        asked = Asked(registry_id=record_id, cluster=cluster)
        return await self._audited(caller, asked, self._for_record(caller, record_id, cluster))

    async def _for_record(self, caller: Caller, record_id: str, cluster: str | None) -> Delivery:
        held = await self.hold(caller, record_id)
        return await self._deliver(caller, held, cluster, held.record.prefix.domain)

    async def _audited(
        self, caller: Caller, asked: Asked, delivering: Awaitable[Delivery]
    ) -> Delivery:
        try:
            delivery = await delivering
        except PullpassError as error:
            await self._audit.refused(caller, asked, error)
            raise
        await self._audit.delivered(caller, asked, delivery.record, delivery.credential)
        return delivery

    async def hold(self, caller: Caller, record_id: str) -> Held:
        """A record with its sealed credential, whether or not the caller may have that.

        Raises:
            NotFound: no such record.
        """
        snapshot = await self._snapshots.about(caller.organization, record_id=record_id)
        return await self._hold(caller, record_id, snapshot)

    async def _hold(self, caller: Caller, record_id: str, snapshot: Snapshot) -> Held:
        record = snapshot.builtins.get(record_id)
        if record is not None:
            return Held(caller.organization, record, None)
        stored = snapshot.own(record_id)
        if stored is None:
            # Another replica may have created it less than a poll ago.
            stored = await self._records.get(caller.organization, record_id)
        if stored is None:
            raise record_not_found(record_id)
        return Held(caller.organization, stored.record, stored.sealed)

    async def usable(self, held: Held, host: str) -> Credential | None:
        """What the record logs in with at ``host`` now: issued where the type has an exchange,
        else as it is stored. Whoever calls this has checked that the caller may have it.

        Raises:
            ExchangeFailed: the upstream gave no credential.
        """

        async def stored() -> Credential | None:
            if held.record.builtin:
                return self._builtins.creds(held.record.id)
            return await self._vault.open(held.organization, held.record.id, held.sealed)

        if not TYPE_RULES[held.record.type].exchanged:
            return await stored()
        demand = Demand(held.organization, held.record, host, stored)
        return await self._issuer.credential(demand)

    async def trial(self, record: Record, creds: Credential | None, host: str) -> Credential | None:
        """What a record that is not stored would log in with at ``host``; nothing is kept.

        Raises: as :meth:`usable`.
        """
        if not TYPE_RULES[record.type].exchanged:
            return creds
        return await self._issuer.trial(record, creds, host)

    async def _deliver(
        self, caller: Caller, held: Held, cluster: str | None, host: str
    ) -> Delivery:
        record = held.record
        access.require_credential(caller, record.id, enable_ci=record.enable_ci)
        secrets = _secrets(caller, record, cluster)
        return Delivery(record, await self.usable(held, host), secrets)

    async def _deliver_all(
        self, caller: Caller, wanted: list[tuple[str, str]]
    ) -> dict[tuple[str, str], Delivery]:
        async def one(record_id: str, host: str) -> Delivery:
            return await self._deliver(caller, await self.hold(caller, record_id), None, host)

        deliveries = await asyncio.gather(*(one(*each) for each in wanted))
        return dict(zip(wanted, deliveries, strict=True))


def _references(images: Sequence[str]) -> list[ImageReference]:
    references, problems = [], []
    for at, image in enumerate(images):
        try:
            references.append(ImageReference.parse(image))
        except InvalidImageReference as error:
            problem = error.message.rstrip(".")
            problems.append(FieldProblem(f"images.{at}", problem, "an image reference"))
    if problems:
        raise InvalidFields(problems[:_MOST_PROBLEMS])
    return references


def _host_query(host: str) -> RegistryPrefix:
    try:
        return parse_helper_query(host)
    except InvalidRegistryPrefix as error:
        raise InvalidFields([FieldProblem("host", error.problem, error.expected)]) from None


def _match(snapshot: Snapshot, image: str) -> MatchedImage:
    try:
        reference = ImageReference.parse(image)
    except InvalidImageReference as error:
        return MatchedImage(image, None, None, error)
    return MatchedImage(image, reference, snapshot.index.match(reference))


def _secrets(caller: Caller, record: Record, cluster: str | None) -> Secrets | None:
    scope = access.cluster_scope(caller, cluster)
    if scope is None or record.secrets is None:
        return record.secrets
    secrets = record.secrets_for(scope)
    if not secrets and TYPE_RULES[record.type].secrets == "required":
        raise NotFound(
            f"The registry record '{record.id}' names no secret for the cluster '{scope}', "
            "and none for all clusters ('*').",
            code="cluster_not_found",
            details={"cluster": scope, "registry_id": record.id},
        )
    return secrets or None
