"""The keys of issuers of identity tokens, by OpenID Connect Discovery 1.0.

They are kept a while, so that a token costs no request; asked for again when a token names one
that is not there, for issuers change their keys; and used beyond their time when the issuer does
not answer. However many ask, an issuer is asked once at a time, and never more often than
:data:`_PAUSE` apart, so that nobody can make this server trouble an issuer.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from pullpass.domain.credential import Secret
from pullpass.domain.errors import ExchangeFailed
from pullpass.domain.issuers import is_safe
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.failure import IdentityTokenRefused, IssuerUnavailable
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Limits, Outgoing

if TYPE_CHECKING:
    from joserfc.jwk import Key

    from pullpass.exchange.identity_token import IdentityToken

# Seconds. A key that was withdrawn is honoured no longer than the first while the issuer answers.
_FRESH = 600
_KEPT_IN_AN_OUTAGE = 6 * 3600
_PAUSE = 30
_LIMITS = Limits(request_seconds=5, total_seconds=5, body_bytes=1024 * 1024)
_WELL_KNOWN = "/.well-known/openid-configuration"
_REMEMBERED = 1000

_log = structlog.get_logger("pullpass.oidc")


class _NotAsAgreed(Exception):
    """The issuer answers with what is no discovery document, or no set of keys."""


@dataclass(slots=True)
class _Issuer:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: Sequence[Key] = ()
    fetched: float = float("-inf")
    tried: float = float("-inf")
    problem: str = "Its keys were not fetched."
    document: Mapping[str, object] = field(default_factory=dict)
    discovered: float = float("-inf")
    sought: float = float("-inf")


class Issuers:
    """``clock`` counts seconds, from whenever."""

    def __init__(self, guard: AddressGuard, clock: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._clock = clock
        self._service: TokenService | None = None
        self._known: OrderedDict[str, _Issuer] = OrderedDict()

    def read(self, token: Secret, now: datetime) -> IdentityToken:
        """As :func:`pullpass.exchange.identity_token.read`."""
        # Here, since cryptography takes time that the start of a server does without.
        from pullpass.exchange import identity_token

        return identity_token.read(token, now)

    async def verify(self, token: IdentityToken) -> None:
        """Check that its issuer has signed ``token``. Whoever calls this trusts the issuer: it is
        asked for its keys, at the address that its name is.

        Raises:
            IdentityTokenRefused: it has not.
            IssuerUnavailable: there is no telling, since there are no keys.
        """
        issuer = self._of(token.issuer)
        if token.key_among(issuer.keys) is None or self._age(issuer) > _FRESH:
            async with issuer.lock:
                await self._renew(token, issuer)
        key = token.key_among(issuer.keys)
        if key is not None:
            token.verify(key)
        elif issuer.keys:
            raise IdentityTokenRefused("its issuer has no key of that name and kind")
        else:
            wait = max(1, round(issuer.tried + _PAUSE - self._clock()))
            raise IssuerUnavailable(issuer.problem, wait)

    async def document(self, name: str) -> Mapping[str, object]:
        """The discovery document of the issuer ``name``, kept and asked for as its keys are.

        Raises:
            IssuerUnavailable: there is none to be had.
        """
        issuer = self._of(name)
        if self._clock() - issuer.discovered > _FRESH:
            async with issuer.lock:
                await self._rediscover(name, issuer)
        if not issuer.document:
            wait = max(1, round(issuer.sought + _PAUSE - self._clock()))
            raise IssuerUnavailable(issuer.problem, wait)
        return issuer.document

    def _of(self, name: str) -> _Issuer:
        issuer = self._known.setdefault(name, _Issuer())
        self._known.move_to_end(name)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return issuer

    def _age(self, issuer: _Issuer) -> float:
        return self._clock() - issuer.fetched

    async def _renew(self, token: IdentityToken, issuer: _Issuer) -> None:
        if token.key_among(issuer.keys) is not None and self._age(issuer) <= _FRESH:
            return
        if self._clock() - issuer.tried >= _PAUSE:
            issuer.tried = self._clock()
            try:
                issuer.keys = await self._fetch(token.issuer)
                issuer.fetched = self._clock()
            except (ExchangeFailed, _NotAsAgreed) as error:
                issuer.problem = str(error)
                _log.warning("issuer gives no keys", issuer=token.issuer, error=issuer.problem)
        if self._age(issuer) > _KEPT_IN_AN_OUTAGE:
            issuer.keys = ()

    async def _rediscover(self, name: str, issuer: _Issuer) -> None:
        now = self._clock()
        if now - issuer.discovered <= _FRESH:
            return
        if now - issuer.sought >= _PAUSE:
            issuer.sought = now
            try:
                issuer.document = await self._discover(name)
                issuer.discovered = now
            except (ExchangeFailed, _NotAsAgreed) as error:
                issuer.problem = str(error)
                _log.warning("issuer cannot be discovered", issuer=name, error=issuer.problem)
        if now - issuer.discovered > _KEPT_IN_AN_OUTAGE:
            issuer.document = {}

    async def _discover(self, issuer: str) -> Mapping[str, object]:
        # Section 4.1: a slash at the end of the issuer is left out here, and only here.
        document = await self._get(f"The issuer '{issuer}'", issuer.rstrip("/") + _WELL_KNOWN)
        if document.get("issuer") != issuer:
            raise _NotAsAgreed(f"The issuer '{issuer}' calls itself by another name.")
        return document

    async def _fetch(self, issuer: str) -> Sequence[Key]:
        """Its keys, of which there is at least one."""
        from pullpass.exchange.identity_token import keys_of

        document = await self._discover(issuer)
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not is_safe(address):
            raise _NotAsAgreed(f"The issuer '{issuer}' names no https address of its keys.")
        keys = keys_of(await self._get(f"The key set of '{issuer}'", address))
        if not keys:
            raise _NotAsAgreed(f"The issuer '{issuer}' has no key that can be used.")
        return keys

    async def _get(self, name: str, url: str) -> dict[str, object]:
        if self._service is None:
            trust = ssl.create_default_context()
            self._service = TokenService(self._guard, trust, _LIMITS)
        answer = await self._service.call(name, url, Outgoing())
        if answer.status != 200:
            raise _NotAsAgreed(f"{name} answers {answer.status}.")
        return dict(answer.fields)
