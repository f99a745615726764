"""Calls to token services: one request, a JSON answer, and errors by what to do about them."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

import httpx

from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)
from pullpass.domain.probe import ProbeCode
from pullpass.exchange.addresses import AddressGuard
from pullpass.exchange.failure import UpstreamFailed
from pullpass.exchange.rate_limit import reset_time
from pullpass.exchange.upstream import Answer, Limits, Outgoing, Upstream

_LIMITS = Limits(request_seconds=10, total_seconds=20, body_bytes=1024 * 1024)
_LONGEST_WAIT = 3600


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """``fields`` is the JSON object of the body, empty where it is none; ``date`` the upstream's
    clock, where told.
    """

    status: int
    fields: Mapping[str, object] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    date: datetime | None
    body: bytes = field(default=b"", repr=False)

    @property
    def retry_after(self) -> int | None:
        """In how many seconds the upstream wants to be asked again, where it says so."""
        return _retry_after(self.headers)

    def text(self, name: str) -> str:
        """A field that is a string; empty where it is not."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def skew(self, now: datetime) -> float:
        """By how many seconds the upstream's clock is ahead of ours (negative: behind)."""
        return 0.0 if self.date is None else (self.date - now).total_seconds()


class TokenService:
    """Every host passes the address guard; no redirect is followed; an answer is at most 1 MiB."""

    def __init__(
        self, guard: AddressGuard, trust: ssl.SSLContext, limits: Limits = _LIMITS
    ) -> None:
        self._guard = guard
        self._trust = trust
        self._limits = limits

    async def post_form(
        self, name: str, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> ServiceAnswer:
        """POST ``form`` (application/x-www-form-urlencoded) to ``url``, as :meth:`call`."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self.call(name, url, Outgoing("POST", sent, urlencode(form).encode()))

    async def post_json(
        self,
        name: str,
        url: str,
        body: Mapping[str, object],
        headers: Mapping[str, str] | None = None,
    ) -> ServiceAnswer:
        """POST ``body`` as JSON to ``url``, as :meth:`call`."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return await self.call(name, url, Outgoing("POST", sent, json.dumps(body).encode()))

    async def call(
        self, name: str, url: str, outgoing: Outgoing, *, as_json: bool = True
    ) -> ServiceAnswer:
        """The answer of the service ``name`` (a word for messages) at ``url``, of any status
        but 429, 5xx and redirects. Nothing that the service says goes into a message. Without
        ``as_json`` a success may have a body of any kind.

        Raises:
            ExchangeRejected: the address is not allowed, or the URL is none.
            ExchangeThrottled: 429, with the time that the service asks to wait.
            ExchangeUnavailable: no answer, 5xx, a redirect, over 1 MiB, or no JSON object.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or not host.isascii():
            raise ExchangeRejected(f"The address of {name} is not an http(s) URL.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            async with Upstream(self._guard, self._trust, self._limits) as upstream:
                peer = await upstream.peer(parts.scheme, host, port)
                answer = await upstream.request(name, peer, target, outgoing)
        except UpstreamFailed as error:
            raise _as_exchange_failure(name, error) from None
        return _read(name, answer, as_json=as_json)


def _as_exchange_failure(name: str, error: UpstreamFailed) -> ExchangeFailed:
    if error.reason is ProbeCode.ADDRESS_REFUSED:
        return ExchangeRejected(f"{name} cannot be asked: {error.message}")
    return ExchangeUnavailable(f"{name} cannot be reached: {error.message}")


def _read(name: str, answer: Answer, *, as_json: bool) -> ServiceAnswer:
    status = answer.status
    if status == 429:
        raise ExchangeThrottled(
            f"{name} is asked too often (429).", retry_after=_retry_after(answer.headers)
        )
    if 300 <= status < 400:
        raise ExchangeUnavailable(
            f"{name} answers with a redirect ({status}), which is not followed with credentials."
        )
    if status >= 500:
        raise ExchangeUnavailable(
            f"{name} fails ({status}).", retry_after=_retry_after(answer.headers)
        )
    if answer.body is None:
        raise ExchangeUnavailable(f"{name} answers with more than it should.")
    fields = _json_object(answer.body)
    if as_json and fields is None and status < 300 and status != 204:
        raise ExchangeUnavailable(f"{name} answers with something that is not a JSON object.")
    date = _date(answer.headers)
    return ServiceAnswer(status, fields or {}, answer.headers, date, answer.body)


def _json_object(body: bytes) -> Mapping[str, object] | None:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _retry_after(headers: Mapping[str, str]) -> int | None:
    now = datetime.now(UTC)
    moment = reset_time(headers, now)
    if moment is None:
        return None
    return max(1, min(_LONGEST_WAIT, round((moment - now).total_seconds())))


def _date(headers: httpx.Headers) -> datetime | None:
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
