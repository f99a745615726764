"""Who did what: an entry for every change, and for every credential before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pullpass.broker.clock import Clock
from pullpass.broker.group_commit import GroupCommit
from pullpass.domain import timestamp
from pullpass.domain.access import Action, Caller
from pullpass.domain.audit import Actor, AuditAction, Entry, Event, Position, Wanted
from pullpass.domain.credential import Credential
from pullpass.domain.errors import InvalidInput, PullpassError, Unavailable
from pullpass.domain.identity import Origin, Principal, User
from pullpass.domain.record import Record
from pullpass.store.audit import AuditStore, Put, Recording
from pullpass.store.audit_reading import AuditReader

_LOCAL = Origin("LOCAL", "pullpass init", 201)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a credential is asked for, in the caller's words."""

    registry_id: str | None = None
    image: str | None = None
    host: str | None = None
    cluster: str | None = None


class Auditor:
    """``status_of`` gives the status that an error is answered with."""

    def __init__(
        self, store: AuditStore, clock: Clock, status_of: Callable[[PullpassError], int]
    ) -> None:
        self._store = store
        self._clock = clock
        self._status_of = status_of
        self._reads = GroupCommit(self._append, _overload)

    async def close(self) -> None:
        """Return when nothing is left to write."""
        await self._reads.close()

    def change(
        self,
        principal: Principal,
        organizations: Iterable[str],
        action: AuditAction,
        *,
        registry_id: str | None = None,
        subject_id: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> Recording:
        """What a store writes with the change itself, into the log of each organization."""
        return self.recording(
            [
                self.change_event(
                    principal,
                    organization,
                    action,
                    registry_id=registry_id,
                    subject_id=subject_id,
                    details=details,
                )
                for organization in organizations
            ]
        )

    def change_event(
        self,
        principal: Principal,
        organization: str,
        action: AuditAction,
        *,
        registry_id: str | None = None,
        subject_id: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> Event:
        """A change that is made now, for :meth:`recording`."""
        return self._event(
            principal,
            organization,
            action,
            registry_id=registry_id,
            subject_id=subject_id,
            details=details or {},
        )

    def recording(self, events: Sequence[Event]) -> Recording:
        """What a store writes with several changes, in their order."""
        return self._store.recording(events)

    async def extend(self, events: Sequence[Event], put: Put) -> bool:
        """As :meth:`AuditStore.extend`."""
        return await self._store.extend(events, put)

    async def delivered(
        self, caller: Caller, asked: Asked, record: Record, credential: Credential | None
    ) -> None:
        """Return when it is on disk that this leaves.

        Raises:
            Unavailable: it is not, so nothing may leave.
        """
        details = {"type": record.type.value}
        if credential is not None and credential.expires is not None:
            details["expires"] = timestamp.render(credential.expires)
        await self._read(caller, asked, details, registry_id=record.id)

    async def checked(self, caller: Caller, record_id: str, code: str) -> None:
        """Return when it is on disk that a record's credential was tried. Raises Unavailable."""
        event = self._event(
            caller.principal,
            caller.organization,
            AuditAction.CHECK_REGISTRY,
            registry_id=record_id,
            details={"code": code},
        )
        await self._reads.append(event)

    async def refused(self, caller: Caller, asked: Asked, error: PullpassError) -> None:
        """Return when it is on disk that nothing was handed out, and why.

        What cannot be understood, or not be answered now, is no refusal. Raises Unavailable.
        """
        if isinstance(error, (InvalidInput, Unavailable)):
            return
        of_error = error.details.get("registry_id")
        registry_id = asked.registry_id or (of_error if isinstance(of_error, str) else None)
        await self._read(caller, asked, {}, registry_id=registry_id, error=error)

    async def role_refused(
        self, principal: Principal, organization: str, action: Action, error: PullpassError
    ) -> None:
        """Return when it is on disk that a member's role was too small. Raises Unavailable."""
        of_credential = action is Action.READ_CREDENTIALS
        event = self._event(
            principal,
            organization,
            AuditAction.READ_CREDENTIAL if of_credential else AuditAction.REFUSE_ROLE,
            details={"asked_to": action.value},
            error=error,
        )
        await self._reads.append(event)

    async def _read(
        self,
        caller: Caller,
        asked: Asked,
        details: Mapping[str, str],
        *,
        registry_id: str | None,
        error: PullpassError | None = None,
    ) -> None:
        if asked.cluster is not None:
            details = {**details, "cluster": asked.cluster}
        event = self._event(
            caller.principal,
            caller.organization,
            AuditAction.READ_CREDENTIAL,
            registry_id=registry_id,
            asked=asked,
            details=details,
            error=error,
        )
        await self._reads.append(event)

    async def _append(self, events: Sequence[Event]) -> Sequence[None]:
        await self._store.append(events)
        return [None] * len(events)

    def _event(
        self,
        principal: Principal,
        organization: str,
        action: AuditAction,
        *,
        details: Mapping[str, str],
        registry_id: str | None = None,
        subject_id: str | None = None,
        asked: Asked | None = None,
        error: PullpassError | None = None,
    ) -> Event:
        user, origin = principal.user, principal.origin or _LOCAL
        membership = user.memberships.get(organization)
        role = None if membership is None else membership.role.value
        return Event(
            organization=organization,
            action=action,
            at=self._clock(),
            actor=Actor(user.id, user.name, principal.token_id or None, role, principal.subject),
            method=origin.method,
            path=origin.path,
            status=origin.status if error is None else self._status_of(error),
            code=None if error is None else error.code,
            registry_id=registry_id,
            subject_id=subject_id,
            image=None if asked is None else asked.image,
            host=None if asked is None else asked.host,
            request_id=origin.request_id,
            address=origin.address,
            user_agent=origin.user_agent,
            details=details,
        )


def _overload() -> Unavailable:
    return Unavailable(
        "The audit log cannot be written as fast as credentials are asked for. Try again.",
        code="audit_overloaded",
    )


class AuditLog:
    """The log of the caller's organization, to read."""

    def __init__(self, reader: AuditReader) -> None:
        self._reader = reader

    async def page(
        self, caller: Caller, wanted: Wanted, *, before: Position | None, limit: int
    ) -> tuple[Sequence[Entry], Position | None]:
        """Up to ``limit`` entries, newest first, and where to go on from; None at the end."""
        return await self._reader.page(caller.organization, wanted, before=before, limit=limit)

    async def after(self, caller: Caller, sequence: int, *, limit: int) -> Sequence[Entry]:
        """Up to ``limit`` entries, oldest first, behind the one with that number."""
        return await self._reader.after(caller.organization, sequence, limit=limit)


def given_fields(fields: Iterable[str]) -> dict[str, str]:
    """Details that name the fields of a body, never their values."""
    names = ", ".join(sorted(fields))
    return {"fields": names} if names else {}


def on_the_server(user: User) -> Principal:
    """Who acts where somebody works on the server's machine, without a token."""
    return Principal(user, "")
