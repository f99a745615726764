"""From a person whom the organization's OpenID provider vouches for to a session of a browser."""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from pullpass.broker.attempts import FailedAttempts
from pullpass.broker.audit import Auditor
from pullpass.broker.browser_sessions import LONGEST, BrowserSession, BrowserSessions
from pullpass.broker.clock import Clock
from pullpass.broker.sessions import Sessions
from pullpass.domain import timestamp
from pullpass.domain import token as token_format
from pullpass.domain.audit import AuditAction
from pullpass.domain.credential import Secret
from pullpass.domain.errors import Conflict, Forbidden, Unauthenticated, Unavailable
from pullpass.domain.identity import Membership, Origin, Principal, TokenInfo, User, UserType
from pullpass.domain.sign_in import Person, SignInProvider, granted, person_of
from pullpass.exchange.code_flow import Attempt, ClocksApart, CodeFlow, CodeRefused
from pullpass.exchange.failure import IdentityTokenRefused, IssuerUnavailable
from pullpass.store.audit import Recording
from pullpass.store.sign_in import Identity, SignInStore

# RFC 6749 section 4.1.2.1 and OpenID Connect Core 1.0 section 3.1.2.6; no other text is repeated.
_DENIED = ("access_denied", "login_required", "consent_required", "interaction_required")
_NOT_NOW = ("server_error", "temporarily_unavailable")
_WRONG = ("invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope")

_log = structlog.get_logger("pullpass.sign_in")


class SignInService:
    """Nothing is kept between the two halves of a sign-in: any replica can finish what another
    has begun, with the key that the browser brings.
    """

    def __init__(
        self,
        provider: SignInProvider,
        flow: CodeFlow,
        store: SignInStore,
        sessions: Sessions,
        browser_sessions: BrowserSessions,
        audit: Auditor,
        clock: Clock,
    ) -> None:
        self.provider = provider
        self._flow = flow
        self._store = store
        self._sessions = sessions
        self._browser_sessions = browser_sessions
        self._audit = audit
        self._clock = clock
        self._attempts = FailedAttempts()

    async def begin(self) -> tuple[Secret, str]:
        """The key of a new attempt, which the browser keeps, and where it goes on.

        Raises:
            Unavailable: the provider does not answer (`provider_unavailable`).
        """
        attempt = Attempt.begin()
        try:
            return attempt.key, await self._flow.authorization_url(attempt)
        except IssuerUnavailable as error:
            raise self._unavailable(error) from None

    async def sign_out_url(self) -> str | None:
        """Where the provider's own session can be ended too; None where it has no such place.

        Raises:
            Unavailable: as :meth:`begin`.
        """
        try:
            return await self._flow.sign_out_url()
        except IssuerUnavailable as error:
            raise self._unavailable(error) from None

    async def finish(
        self,
        response: Mapping[str, str],
        key: Secret | None,
        replaces: str | None,
        origin: Origin,
    ) -> BrowserSession:
        """The session of who comes back from the provider with the parameters ``response``;
        ``key`` is that of :meth:`begin`. The session with the id ``replaces`` ends.

        Raises:
            Unauthenticated: `sign_in_stale`, `sign_in_denied`, `sign_in_failed`, `clocks_apart`.
            Forbidden: nobody here is who came back (`not_invited`, `email_unverified`, `no_group`).
            Conflict: `identity_taken`, `last_admin`.
            TooManyAttempts: too many failed from this address.
            Unavailable: the provider, or the database, does not answer.
        """
        now = self._clock()
        # Even the state is compared as secrets are: who guesses it makes this browser another's.
        attempt = Attempt(key or Secret(""))
        given = response.get("state", "").encode()
        if key is None or not hmac.compare_digest(given, attempt.state.encode()):
            raise Unauthenticated(
                "This sign-in was not begun in this browser, took longer than ten minutes, or was "
                "finished already. Begin again.",
                code="sign_in_stale",
            )
        self._attempts.require(origin.address, now)
        try:
            await self._flow.require_issuer(response.get("iss"))
            code = self._code(response)
            claims = await self._flow.redeem(code, attempt, now)
        except (CodeRefused, IdentityTokenRefused) as error:
            self._attempts.failed(origin.address, now)
            _log.warning("sign-in failed", issuer=self.provider.issuer, reason=error.reason)
            raise Unauthenticated(
                f"The answer of {self.provider.label} cannot be trusted, or it takes this server "
                "for another one. Begin again; the log of the server says why.",
                code="sign_in_failed",
            ) from None
        except ClocksApart as error:
            _log.warning("sign-in failed", issuer=self.provider.issuer, reason=str(error))
            raise Unauthenticated(
                f"The clocks of this server and of {self.provider.label} are {_apart(error)} "
                "apart, so that nobody can sign in. Who runs the server can set it right.",
                code="clocks_apart",
            ) from None
        except IssuerUnavailable as error:
            raise self._unavailable(error) from None
        person = person_of(self.provider, claims)
        try:
            user = await self._user(person, origin, now)
        except (Forbidden, Conflict) as error:
            _log.info(
                "sign-in refused", issuer=person.issuer, subject=person.subject, code=error.code
            )
            raise
        return await self._open(user, person, replaces, origin, now)

    def _code(self, response: Mapping[str, str]) -> Secret:
        """Raises Unauthenticated or Unavailable where the provider says why there is none."""
        error = response.get("error", "")
        label = self.provider.label
        if error in _DENIED:
            raise Unauthenticated(
                f"{label} did not let you in ({error}): you stopped it there, or you may not use "
                "Pullpass with it.",
                code="sign_in_denied",
            )
        if error in _NOT_NOW:
            raise Unavailable(
                f"{label} cannot sign you in now ({error}). Try again later, or sign in with a "
                "token.",
                retry_after=5,
                code="provider_unavailable",
            )
        if error or not response.get("code"):
            raise CodeRefused(f"it answers with {error if error in _WRONG else 'no code'}")
        return Secret(response["code"])

    async def _user(self, person: Person, origin: Origin, now: datetime) -> User:
        identity = Identity(person.issuer, person.subject)
        user = await self._store.user_of(identity)
        if not self.provider.group_roles:
            return user or await self._invited(identity, person, origin, now)
        return await self._by_groups(identity, user, person, origin, now)

    async def _invited(
        self, identity: Identity, person: Person, origin: Origin, now: datetime
    ) -> User:
        """The user that was made for the person's address, who is this person from now on."""
        label = self.provider.label
        if person.email is None:
            of = f"the address {person.unverified_email}" if person.unverified_email else "you"
            raise Forbidden(
                f"{label} gives no verified e-mail address for {of}, and by that you are invited. "
                "Who runs it can change that.",
                code="email_unverified",
            )
        user = await self._store.user_with_email(person.email)
        if user is None or user.type is not UserType.USER:
            raise Forbidden(
                f"Nobody here has the e-mail address {person.email}. An administrator of your "
                "organization can add you under Access, as a person with this address.",
                code="not_invited",
            )
        try:
            await self._store.bind(
                identity,
                user.id,
                now=now,
                audit=self._audit.change(
                    Principal(user, "", None, person.subject, origin),
                    user.memberships,
                    AuditAction.UPDATE_USER,
                    subject_id=user.id,
                    details={"signs_in_with": person.issuer},
                ),
            )
        except Conflict:
            # Two tabs at the same moment are one person.
            if (found := await self._store.user_of(identity)) is not None:
                return found
            raise Conflict(
                f"The user with the e-mail address {person.email} is somebody else, to whom "
                f"{label} had given it before. An administrator can remove that user and add you.",
                code="identity_taken",
            ) from None
        return user

    async def _by_groups(
        self,
        identity: Identity,
        user: User | None,
        person: Person,
        origin: Origin,
        now: datetime,
    ) -> User:
        """The user with just the roles that the person's groups give."""
        roles = granted(self.provider.group_roles, person.groups)
        there = {each.id for each in await self._store.organizations(tuple(roles))}
        if missing := sorted(roles.keys() - there):
            _log.warning("a group has a role in no organization", organizations=missing)
        given = {each: Membership(role) for each, role in roles.items() if each in there}
        if not given:
            if user is not None:
                await self._lock_out(user, person, origin, now)
            raise Forbidden(
                f"None of the groups that {self.provider.label} names for you has a role here. "
                "Who runs it can put you into one that has.",
                code="no_group",
            )
        if user is None:
            return await self._newcomer(identity, person, given, origin, now)
        mapped = {each.organization for each in self.provider.group_roles}
        before = {each: role for each, role in user.memberships.items() if each in mapped}
        if before == given:
            return user
        after = replace(user, memberships={**user.memberships, **given})
        try:
            changed = await self._store.change(
                user.id,
                given,
                mapped - given.keys(),
                now=now,
                audit=self._by_person(AuditAction.UPDATE_USER, after, person, origin),
            )
        except Conflict:
            await self._lock_out(user, person, origin, now)
            raise
        await self._sessions.refresh()
        return changed

    async def _newcomer(
        self,
        identity: Identity,
        person: Person,
        given: Mapping[str, Membership],
        origin: Origin,
        now: datetime,
    ) -> User:
        email = person.email
        # An address that another user has is not taken away, nor is that user given away with it.
        if email is not None and await self._store.user_with_email(email) is not None:
            email = None
        user = User(str(uuid.uuid4()), person.name, UserType.USER, now, email, given)
        audit = self._by_person(AuditAction.CREATE_USER, user, person, origin)
        try:
            await self._store.add(identity, user, now=now, audit=audit)
        except Conflict:
            if (found := await self._store.user_of(identity)) is not None:
                return found
            raise
        return user

    async def _lock_out(self, user: User, person: Person, origin: Origin, now: datetime) -> None:
        """End all that the user has open: the provider has just said that it is no more to be."""
        audit = self._by_person(AuditAction.DELETE_TOKEN, user, person, origin)
        await self._store.end_tokens(user.id, now=now, audit=audit)
        await self._sessions.refresh()

    async def _open(
        self, user: User, person: Person, replaces: str | None, origin: Origin, now: datetime
    ) -> BrowserSession:
        """A session that stands for a token as every session does, but one that nobody has seen,
        and nobody will: so that what ends tokens ends this too.
        """
        token = token_format.generate()
        info = TokenInfo(
            user.id,
            f"sign-in-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            f"Signed in with {self.provider.label}",
            now,
            user.id,
            now + LONGEST,
            person.subject,
        )
        audit = self._audit.change(
            Principal(user, info.id, info.expires_at, person.subject, origin),
            user.memberships,
            AuditAction.SIGN_IN,
            subject_id=user.id,
            details={"issuer": person.issuer, "expires": timestamp.render(now + LONGEST)},
        )
        digest = token_format.digest(token.reveal())
        await self._store.create_token(info, digest, now=now, audit=audit)
        _log.info("signed in", issuer=person.issuer, subject=person.subject, user=user.id)
        return await self._browser_sessions.begin(token.reveal(), replaces, origin)

    def _by_person(
        self, action: AuditAction, user: User, person: Person, origin: Origin
    ) -> Recording:
        """Into the log of each organization, with the role that the user has there."""
        return self._audit.change(
            Principal(user, "", None, person.subject, origin),
            user.memberships,
            action,
            subject_id=user.id,
            details={"by": "groups", "issuer": person.issuer},
        )

    def _unavailable(self, error: IssuerUnavailable) -> Unavailable:
        _log.warning("provider unavailable", issuer=self.provider.issuer, reason=error.reason)
        return Unavailable(
            f"{self.provider.label} does not answer as it should. Try again later, or sign in with "
            "a token; the log of the server says why.",
            retry_after=error.retry_after,
            code="provider_unavailable",
        )


def _apart(error: ClocksApart) -> str:
    seconds = round(abs(error.seconds))
    return f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"
