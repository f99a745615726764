"""Whether a record's credential works at the live registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pullpass.broker.audit import Auditor
from pullpass.broker.clock import Clock
from pullpass.broker.credentials import CredentialService
from pullpass.domain.access import Caller
from pullpass.domain.credential import Credential
from pullpass.domain.draft import Draft
from pullpass.domain.errors import (
    ExchangeFailed,
    FieldProblem,
    InvalidFields,
    InvalidImageReference,
    Unavailable,
)
from pullpass.domain.image import ImageReference
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.probe import CheckRun, Probe, ProbeCode, Status
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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to ask for pull rights: a path within the registry, a whole image, or nowhere."""

    repository: str | None
    image: str | None


# What to log in with at a host.
_Credential = Callable[[str], Awaitable[Credential | None]]


class CheckService:
    """Runs a few checks at once: each waits on a host that somebody else chose. The last result
    of each record is kept, as its status.
    """

    def __init__(
        self,
        credentials: CredentialService,
        store: CheckStore,
        prober: Prober,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self._audit = audit
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
        held = await self._credentials.hold(caller, record_id)

        async def credential(domain: str) -> Credential | None:
            return await self._credentials.usable(held, domain)

        check = await self._run(held.record, _Place(repository, image), credential)
        await self.keep(caller, held.record, check)
        return check

    async def try_draft(self, draft: Draft, *, image: str | None) -> Check:
        """How the registry of a record that is not stored takes the credential of its draft.

        Nothing is kept. ``image`` and what is raised: as :meth:`check`.
        """
        record = draft.record(created_at=None, created_by=None)

        async def credential(domain: str) -> Credential | None:
            return await self._credentials.trial(record, draft.creds, domain)

        return await self._run(record, _Place(None, image), credential)

    async def keep(self, caller: Caller, record: Record, check: Check) -> None:
        """Make ``check`` the last one of this version of ``record``.

        Raises:
            StoreUnavailable: the result cannot be kept.
        """
        if record.type is not RecordType.SECRET_REF:
            probe, moment = check.probe, check.checked_at
            status = Status(probe.code, probe.message, moment, since=moment)
            await self._store.save(caller.organization, record.id, record.version, status)
        await self._audit.checked(caller, record.id, check.probe.code)

    async def history(self, caller: Caller, record_id: str) -> Sequence[CheckRun]:
        """What the checks of a record have come to, oldest first, as far as it is kept.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        return await self._store.history(caller.organization, record_id)

    async def _run(self, record: Record, place: _Place, credential: _Credential) -> Check:
        now = self._clock()
        target = _target(record, place.repository, place.image)
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
            return Check(await self._probe(target, credential, now), now)
        finally:
            self._running -= 1

    async def _probe(self, target: Target, credential: _Credential, now: datetime) -> Probe:
        try:
            usable = await credential(target.domain)
        except ExchangeFailed as error:
            return Probe(ProbeCode.EXCHANGE_FAILED, error.message)
        return await self._prober.probe(target, usable, now)


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
