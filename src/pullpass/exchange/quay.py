"""Quay: an OIDC token for a federated robot account is exchanged for one of Quay's own.

https://docs.redhat.com/en/documentation/red_hat_quay/3/html/manage_red_hat_quay/keyless-authentication-robot-accounts
and, for what the answer is, endpoints/oauth/robot_identity_federation.py of
https://github.com/quay/quay: ``{"token": …}``, a JWT with ``iat`` and ``exp``, one hour apart.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pullpass.domain.credential import Credential, Secret
from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.domain.timestamp import render
from pullpass.exchange.exchanger import Issued, Source
from pullpass.exchange.lifetime import jwt_claims, jwt_expiry
from pullpass.exchange.token_file import read_token_file
from pullpass.exchange.token_service import TokenService
from pullpass.exchange.upstream import Outgoing

_PATH = "/oauth2/federation/robot/token"
# "Tokens that last one hour", says the page above: for a token that does not say it itself.
_LIFETIME = timedelta(hours=1)
# A token that ended just now by our clock may be good by Quay's.
_SKEW = timedelta(minutes=5)
_FILE = "the file that PULLPASS_OIDC_TOKEN_FILE names"


class QuayExchanger:
    """``ambient``: records may use the server's own OIDC token, which stands in ``token_file``
    and is read for every exchange, since whoever put it there replaces it before it ends. It is
    shown to the hosts that are its audience alone, whatever a record's writer chose, and to those
    that the operator names in ``ambient_hosts``.
    """

    def __init__(
        self,
        service: TokenService,
        *,
        ambient: bool,
        token_file: Path | None,
        ambient_hosts: Collection[str] = (),
    ) -> None:
        self._service = service
        self._ambient = ambient
        self._token_file = token_file
        self._ambient_hosts = frozenset(ambient_hosts)

    def scope(self, host: str) -> str:
        """A token is for the one Quay that issued it."""
        return host

    async def exchange(self, source: Source, now: datetime) -> Issued:
        """As :meth:`Exchanger.exchange`. A Quay that answers a wrong OIDC token with a 500, as
        its source does in places, is taken for unavailable: the two cannot be told apart.
        """
        base = (source.option("endpoint") or f"https://{source.host}").rstrip("/")
        if source.creds is not None:
            robot, token = source.creds.username, source.creds.password.reveal()
            _refuse_ended(token, now)
        else:
            robot, token = source.option("robot") or "", await self._own_token(base, now)
        pair = base64.b64encode(f"{robot}:{token}".encode()).decode()
        answer = await self._service.call(
            "Quay", base + _PATH, Outgoing(headers={"Authorization": f"Basic {pair}"})
        )
        if answer.status != 200:
            raise ExchangeRejected(_refusal(answer.status, robot))
        issued = answer.text("token")
        if not issued:
            raise ExchangeUnavailable("Quay answers without a token.")
        expires = jwt_expiry(issued, now, answer.skew(now)) or now + _LIFETIME
        return Issued(Credential(robot, Secret(issued), expires))

    async def revoke(self, source: Source, handle: str) -> None:
        """Nothing: these tokens only end by themselves."""

    async def _own_token(self, base: str, now: datetime) -> str:
        if not self._ambient:
            raise ExchangeRejected(
                "The record asks for this server's own identity, which is switched off. "
                "An operator can switch it on by PULLPASS_AMBIENT_IDENTITY.",
                code="ambient_identity_off",
            )
        if self._token_file is None:
            raise ExchangeUnavailable(
                "This server has no OIDC token of its own. "
                "An operator can name the file with one in PULLPASS_OIDC_TOKEN_FILE."
            )
        try:
            token = await read_token_file(self._token_file)
        except (OSError, UnicodeDecodeError):
            token = ""
        claims = jwt_claims(token)
        if not claims:
            raise ExchangeUnavailable(f"No OIDC token (a JWT) can be read from {_FILE}.")
        if (end := _ended(claims, now)) is not None:
            raise ExchangeUnavailable(
                f"The OIDC token in {_FILE} ended at {render(end)}. Check what replaces it."
            )
        if not self._may_see_ambient(base, claims):
            raise ExchangeRejected(
                f"The server's own OIDC token is not shown to '{urlsplit(base).netloc}'. An "
                "operator can have it issued with that host as its audience (aud); it has to be "
                "reached by https.",
                code="ambient_endpoint_refused",
            )
        return token

    def _may_see_ambient(self, base: str, claims: Mapping[str, object]) -> bool:
        parts = urlsplit(base)
        own = parts.scheme == "https" and parts.netloc.lower() in _audiences(claims)
        return own or (parts.hostname or "") in self._ambient_hosts


def _ended(claims: Mapping[str, object], now: datetime) -> datetime | None:
    """When a token ended, if it surely did."""
    end = claims.get("exp")
    if not isinstance(end, int | float) or not 0 <= end < (now - _SKEW).timestamp():
        return None
    return datetime.fromtimestamp(end, UTC)


def _refuse_ended(token: str, now: datetime) -> None:
    if (end := _ended(jwt_claims(token), now)) is not None:
        raise ExchangeRejected(
            f"The stored OIDC token ended at {render(end)}. Store a new one; or use the server's "
            "own, which is replaced in time, by options.identity 'ambient'."
        )


def _audiences(claims: Mapping[str, object]) -> set[str]:
    """The hosts that a token is for: an audience may be written as a host or as its URL."""
    found = claims.get("aud")
    values = found if isinstance(found, list) else [found]
    return {
        value.lower().removeprefix("https://").rstrip("/")
        for value in values
        if isinstance(value, str)
    }


def _refusal(status: int, robot: str) -> str:
    if status in (400, 401, 403):
        return (
            f"Quay refuses the OIDC token for the robot '{robot}' ({status}). Check that the robot "
            "exists, that its federation has the token's issuer and subject, and that the token "
            "has not ended."
        )
    if status == 404:
        return "Quay has no robot federation at this address (404): it needs Quay 3.13 or later."
    return f"Quay refuses to exchange the OIDC token ({status})."
