"""Whether a record's credential works at the live registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pullpass.broker.clock import Clock
from pullpass.broker.credentials import CredentialService, Held
from pullpass.domain.access import Caller
from pullpass.domain.errors import (
    ExchangeFailed,
    FieldProblem,
    InvalidFields,
    InvalidImageReference,
    Unavailable,
)
from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.probe import Probe, ProbeCode, Status
from pullpass.domain.record import Record
from pullpass.domain.record_types import RecordType
from pullpass.exchange.probe import Prober, Target
from pullpass.store.checks import CheckStore

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Check:
    """What came of a check, and when it began (aware UTC time)."""

    probe: Probe
    checked_at: datetime


class CheckService:
    """Runs a few checks at once: each waits on a host that somebody else chose. The last result
    of each record is kept, as its status.
    """

    def __init__(
        self, credentials: CredentialService, store: CheckStore, prober: Prober, clock: Clock
    ) -> None:
        self._credentials = credentials
        self._store = store
        self._prober = prober
        self._clock = clock
        self._running = 0

    async def check(
        self, caller: Caller, record_id: str, *, repository: str | None, image: str | None
    ) -> Check:
        """How the record's registry takes its credential now.

        ``repository`` (a path within the registry) or ``image`` (a whole reference), of which the
        record has to match, asks for pull rights too. What goes wrong with the registry, or with
        getting the credential, is the result and no error.

        Raises:
            InvalidFields: no repository or image, or not the record's; or the record is for many
                hosts and ``image`` does not say which.
            NotFound: no such record.
            StoreUnavailable: the result cannot be kept.
            Unavailable: too many checks are running (``too_many_checks``).
        """
        now = self._clock()
        held = await self._credentials.hold(caller, record_id)
        record = held.record
        target = _target(record, repository, image)
        if record.type is RecordType.SECRET_REF:
            return Check(_no_credential(record), now)
        if self._running >= _AT_ONCE:
            raise Unavailable(
                f"{_AT_ONCE} checks are running, which is the limit. Try again in a moment.",
                retry_after=5,
                code="too_many_checks",
            )
        self._running += 1
        try:
            probe = await self._probe(held, target, now)
        finally:
            self._running -= 1
        status = Status(probe.code, probe.message, now, since=now)
        await self._store.save(caller.organization, record.id, record.version, status)
        return Check(probe, now)

    async def _probe(self, held: Held, target: Target, now: datetime) -> Probe:
        try:
            credential = await self._credentials.usable(held, target.domain)
        except ExchangeFailed as error:
            return Probe(ProbeCode.EXCHANGE_FAILED, error.message)
        return await self._prober.probe(target, credential, now)


def _target(record: Record, repository: str | None, image: str | None) -> Target:
    prefix = record.prefix
    plain_http = record.registry.lower().startswith("http://")
    if repository is not None and image is not None:
        raise _invalid("repository", "is given besides 'image'", "one of them")
    if image is not None:
        reference = _image(prefix, image)
        path = "/".join(reference.path)
        return Target(reference.host, plain_http, path)
    if prefix.is_wildcard:
        raise _invalid(
            "registry",
            f"is the pattern '{prefix}', which is no host to check",
            '"image" in the body: an image on one of its hosts, whole',
        )
    if repository is not None:
        return Target(prefix.domain, plain_http, _repository(prefix, repository))
    return Target(prefix.domain, plain_http)


def _image(prefix: RegistryPrefix, image: str) -> ImageReference:
    try:
        reference = ImageReference.parse(image)
    except InvalidImageReference:
        raise _invalid(
            "image", "is not an image reference", "one like ghcr.io/acme/app:1.2"
        ) from None
    if not prefix.matches(reference):
        raise _invalid("image", "is not one that this record matches", f"an image in '{prefix}'")
    return reference


def _repository(prefix: RegistryPrefix, repository: str) -> str:
    under = "/".join((*prefix.path, "app"))
    expected = f"the name of a repository after the host, without a tag, like {under}"
    host = RegistryPrefix(prefix.domain, ())
    try:
        reference = ImageReference.parse(f"{host}/{repository}")
    except InvalidImageReference:
        raise _invalid("repository", "is not the name of a repository", expected) from None
    if reference.tag is not None or reference.digest is not None:
        raise _invalid("repository", "holds a tag or a digest", expected)
    if not prefix.matches(reference):
        raise _invalid("repository", f"is not in '{prefix}'", expected)
    return "/".join(reference.path)


def _no_credential(record: Record) -> Probe:
    return Probe(
        ProbeCode.NO_CREDENTIAL,
        f"The credential of '{record.id}' is a Kubernetes secret in the clusters, which Pullpass "
        "cannot read: it can only be tried there.",
    )


def _invalid(field: str, problem: str, expected: str) -> InvalidFields:
    return InvalidFields([FieldProblem(field, problem, expected)])
