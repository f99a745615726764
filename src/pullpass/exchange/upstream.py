"""The HTTP edge: requests to hosts that a record or a registry names, bounded in every way.

Every host passes the address guard once and is then talked to at the address found (no second
resolution), though under its own name: in the Host header, and in the certificate that it must
show. No redirect is followed, no proxy is used, no cookie is kept, and nothing is unpacked.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from types import TracebackType
from typing import Self

import httpx

from pullpass import __version__
from pullpass.domain.credential import Secret
from pullpass.domain.probe import ProbeCode, Step
from pullpass.exchange.addresses import Address, AddressGuard, is_loopback
from pullpass.exchange.failure import UpstreamFailed

_PORTS = {"https": 443, "http": 80}
_HEADERS = {
    "User-Agent": f"pullpass/{__version__}",
    "Accept": "application/json",
    # A small packed body can unpack to a huge one.
    "Accept-Encoding": "identity",
}
_MAX_ADDRESSES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one request may take, and all together; how much of a body is read."""

    request_seconds: float = 5
    total_seconds: float = 15
    body_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request but for where it goes. ``headers`` and ``body`` may hold secrets."""

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is None where it is longer than the limit."""

    status: int
    headers: httpx.Headers
    body: bytes | None


class NoTls(UpstreamFailed):
    """What answers does not speak TLS at all; nothing of the request was sent."""


class Peer:
    """One host, port and scheme, at the addresses that it was found at."""

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int | None,
        addresses: tuple[Address, ...],
        client: httpx.AsyncClient,
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port or _PORTS[scheme]
        self.addresses = addresses
        self.client = client

    @property
    def authority(self) -> str:
        """The host, and the port where it is not the scheme's own, as in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host) and all(address.is_loopback for address in self.addresses)

    def url(self, address: Address, target: str) -> str:
        host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        return f"{self.scheme}://{host}:{self.port}{target}"


class Upstream:
    """The requests of one undertaking: they share one deadline, and a list of steps taken.

    Use as an asynchronous context manager; its end closes the connections.
    """

    def __init__(self, guard: AddressGuard, trust: ssl.SSLContext, limits: Limits) -> None:
        self._guard = guard
        self._trust = trust
        self._limits = limits
        self._peers: dict[tuple[str, str, int | None], Peer] = {}
        self._steps: list[Step] = []
        self._stage = ""
        self._lap = time.perf_counter()
        self._deadline = asyncio.get_running_loop().time() + limits.total_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for peer in self._peers.values():
            await peer.client.aclose()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)

    def step(self, name: str, *, ok: bool = True, message: str | None = None) -> None:
        """Note a step: it took the time since the one before."""
        now = time.perf_counter()
        self._steps.append(Step(name, ok, round((now - self._lap) * 1000), message))
        self._lap = now

    async def peer(self, scheme: str, host: str, port: int | None = None) -> Peer:
        """The host (an IPv6 address without brackets), resolved the first time it is named.

        Raises:
            UpstreamFailed: ``name_resolution``, ``address_refused``.
        """
        key = (scheme, host.lower(), port)
        if key not in self._peers:
            left = self._deadline - asyncio.get_running_loop().time()
            seconds = max(0.0, min(self._limits.request_seconds, left))
            try:
                addresses = await self._guard.addresses(
                    host, port or _PORTS[scheme], seconds=seconds
                )
            except UpstreamFailed as error:
                self.step("resolve", ok=False, message=error.message)
                raise
            self.step("resolve", message=host)
            self._add(key, scheme, host, port, addresses)
        return self._peers[key]

    def downgraded(self, peer: Peer) -> Peer:
        """The same host, port and addresses over plain HTTP."""
        key = ("http", peer.host.lower(), peer.port)
        if key not in self._peers:
            self._add(key, "http", peer.host, peer.port, peer.addresses)
        return self._peers[key]

    async def get(
        self, step: str, peer: Peer, target: str, authorization: Secret | None = None
    ) -> Answer:
        """What ``peer`` answers to GET ``target`` (path and query), as :meth:`request`."""
        headers = {} if authorization is None else {"Authorization": authorization.reveal()}
        return await self.request(step, peer, target, Outgoing(headers=headers))

    async def request(self, step: str, peer: Peer, target: str, outgoing: Outgoing) -> Answer:
        """What ``peer`` answers at ``target`` (path and query), whatever its status.

        Raises:
            UpstreamFailed: ``connect``, ``tls`` (NoTls among them), ``timeout``, ``protocol``.
        """
        seconds = self._limits.request_seconds
        deadline = min(self._deadline, asyncio.get_running_loop().time() + seconds)
        self._stage = step
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._ask_any(step, peer, target, outgoing)
        except (TimeoutError, httpx.TimeoutException):
            raise self._failed(
                ProbeCode.TIMEOUT,
                f"'{peer.authority}' did not answer in time (at step '{self._stage}'). Check that "
                "it is up and that no firewall is between it and this server.",
            ) from None
        except (httpx.TransportError, ssl.SSLError) as error:
            raise self._translated(peer, error) from None
        except httpx.InvalidURL:
            raise self._failed(
                ProbeCode.PROTOCOL,
                f"An address at '{peer.authority}' is none: it is too long, or holds control "
                "characters.",
            ) from None
        self.step(step)
        return answer

    def _add(
        self,
        key: tuple[str, str, int | None],
        scheme: str,
        host: str,
        port: int | None,
        addresses: tuple[Address, ...],
    ) -> None:
        # A client for each: connections are shared by address, whatever name they were made for.
        client = httpx.AsyncClient(
            verify=self._trust, trust_env=False, follow_redirects=False, headers=_HEADERS
        )
        self._peers[key] = Peer(scheme, host, port, addresses, client)

    async def _ask_any(self, step: str, peer: Peer, target: str, outgoing: Outgoing) -> Answer:
        """Try the addresses in turn until one takes the connection; it is kept for the next."""
        candidates = peer.addresses[:_MAX_ADDRESSES]
        for address in candidates[:-1]:
            self._stage = step
            try:
                answer = await self._ask(step, peer, address, target, outgoing)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if self._stage != "connect":
                    raise
                continue
            peer.addresses = (address,)
            return answer
        self._stage = step
        return await self._ask(step, peer, candidates[-1], target, outgoing)

    async def _ask(
        self, step: str, peer: Peer, address: Address, target: str, outgoing: Outgoing
    ) -> Answer:
        async def trace(event: str, _: Mapping[str, object]) -> None:
            for stage, name in (("connect", "connect_tcp"), ("tls", "start_tls")):
                if event == f"connection.{name}.started":
                    self._stage = stage
                elif event == f"connection.{name}.complete":
                    self.step(stage)
                    self._stage = step

        share = self._limits.request_seconds / min(len(peer.addresses), _MAX_ADDRESSES)
        async with peer.client.stream(
            outgoing.method,
            peer.url(address, target),
            headers={**outgoing.headers, "Host": peer.authority},
            content=outgoing.body,
            timeout=httpx.Timeout(None, connect=share),
            extensions={"sni_hostname": peer.host, "trace": trace},
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._limits.body_bytes:
                    return Answer(response.status_code, response.headers, None)
        return Answer(response.status_code, response.headers, bytes(body))

    def _failed(
        self, reason: ProbeCode, message: str, kind: type[UpstreamFailed] = UpstreamFailed
    ) -> UpstreamFailed:
        self.step(self._stage, ok=False, message=message)
        return kind(reason, message)

    def _translated(self, peer: Peer, error: Exception) -> UpstreamFailed:
        causes = _causes(error)
        name = peer.authority
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = cause.verify_message.rstrip(".")
                return self._failed(
                    ProbeCode.TLS,
                    f"The certificate of '{name}' is not trusted: {why}. Have it renewed, or make "
                    "its authority known to the server by SSL_CERT_FILE.",
                )
        if self._stage == "tls":
            return self._failed(
                ProbeCode.TLS,
                f"'{name}' does not speak TLS, or none that this server takes. Check the port; "
                "write the registry with http:// if it is meant to be without TLS.",
                NoTls,
            )
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return self._failed(
                ProbeCode.TLS,
                f"'{name}' ended the TLS connection. It may ask for a client certificate, "
                "which Pullpass does not have.",
            )
        if isinstance(error, httpx.ProtocolError):
            return self._failed(
                ProbeCode.PROTOCOL,
                f"What '{name}' answers is not proper HTTP, or was broken off. Check the host and "
                "port.",
            )
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            return self._failed(
                ProbeCode.CONNECT,
                f"Nothing listens at '{peer.host}' port {peer.port}. Check the port, and that the "
                "registry is up.",
            )
        return self._failed(
            ProbeCode.CONNECT,
            f"'{peer.host}' port {peer.port} cannot be reached, or broke off the connection. "
            "Check that the registry is up and that no firewall is in between.",
        )


def _causes(error: BaseException) -> list[BaseException]:
    """``error`` and what led to it, through groups too; httpx wraps what httpcore wraps."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or current in found:
            continue
        found.append(current)
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return found
