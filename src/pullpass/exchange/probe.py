"""Trying a credential at the live registry, in the way of a container client.

GET `/v2/` (OCI distribution specification 1.1, end-1), then what its `WWW-Authenticate` asks for:
Basic, or Bearer with a token from the registry's token server (distribution's token specification,
https://distribution.github.io/distribution/spec/auth/token/), then pull rights on a repository.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from pullpass.domain import timestamp
from pullpass.domain.credential import Credential, Secret
from pullpass.domain.image import DOCKER_HUB
from pullpass.domain.prefix import split_port
from pullpass.domain.probe import Probe, ProbeCode, Step
from pullpass.exchange.addresses import AddressGuard, is_loopback
from pullpass.exchange.challenge import parse_challenges
from pullpass.exchange.failure import UpstreamFailed
from pullpass.exchange.rate_limit import is_used_up, reset_time
from pullpass.exchange.upstream import Answer, Limits, NoTls, Peer, Upstream

# Where the images of a domain really are; clients have the same table of one.
_DATA_HOSTS: Mapping[str, str] = {DOCKER_HUB: "registry-1.docker.io"}
_API = "/v2/"
_MAX_PORT = 65535
# What a header can hold (RFC 6750 section 2.1 is narrower; token servers are not).
_TOKEN = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"[0-9A-Za-z.:_-]{1,253}")


@dataclass(frozen=True, slots=True)
class Target:
    """What to try: the registry's domain (with its port), over plain HTTP where the record says
    so, and a repository on which to have pull rights.
    """

    domain: str
    plain_http: bool = False
    repository: str | None = None


class Prober:
    """Reads the system's (or SSL_CERT_FILE's) authorities once, when it is first needed."""

    def __init__(self, guard: AddressGuard, limits: Limits | None = None) -> None:
        self._guard = guard
        self._limits = limits or Limits()
        self._trust: ssl.SSLContext | None = None

    async def probe(self, target: Target, credential: Credential | None, now: datetime) -> Probe:
        """How ``target`` takes ``credential``; without one, it is tried anonymously.

        ``now`` is the time from which a registry's waits count. Raises nothing: what goes wrong
        is the result.
        """
        try:
            trust = self._trust = self._trust or httpx.create_ssl_context()
        except OSError as error:
            return Probe(
                ProbeCode.TLS,
                "The server cannot read its certificate authorities "
                f"({error.strerror or 'not in PEM form'}). An operator has to set SSL_CERT_FILE "
                "or SSL_CERT_DIR right.",
            )
        async with Upstream(self._guard, trust, self._limits) as upstream:
            try:
                message = await _Attempt(upstream, target, credential, now).run()
            except UpstreamFailed as error:
                return Probe(error.reason, error.message, _failed(upstream.steps, error.message))
            return Probe(ProbeCode.OK, message, upstream.steps)


class _Attempt:
    def __init__(
        self, upstream: Upstream, target: Target, credential: Credential | None, now: datetime
    ) -> None:
        self._upstream = upstream
        self._target = target
        self._credential = credential
        self._now = now

    async def run(self) -> str:
        """What can be said of the success."""
        registry, answer = await self._ping()
        authorization = None
        if answer.status == 401:
            authorization = await self._authorization(registry, answer)
            answer = await self._get("login", registry, _API, authorization)
        self._expect_login(registry, answer)
        if self._target.repository is not None:
            answer, authorization = await self._pull(
                registry, self._target.repository, authorization
            )
        if is_used_up(answer.headers):
            raise self._rate_limited(registry, answer, "lets this server pull no more for now")
        return self._success(registry, tried=authorization is not None)

    async def _ping(self) -> tuple[Peer, Answer]:
        domain = _DATA_HOSTS.get(self._target.domain, self._target.domain)
        name, port_text = split_port(domain)
        host, port = name.strip("[]"), int(port_text) if port_text else None
        if self._target.plain_http:
            registry = await self._upstream.peer("http", host, port)
        else:
            registry = await self._upstream.peer("https", host, port)
            try:
                return registry, await self._get("ping", registry, _API)
            except NoTls:
                # As Docker does: HTTPS first, and plain HTTP only within this machine. Never
                # after a certificate that is not trusted.
                if not registry.is_loopback:
                    raise
            registry = self._upstream.downgraded(registry)
        return registry, await self._get("ping", registry, _API)

    async def _pull(
        self, registry: Peer, repository: str, authorization: Secret | None
    ) -> tuple[Answer, Secret | None]:
        target = f"{_API}{repository}/tags/list?n=1"
        answer = await self._get("repository", registry, target, authorization)
        if answer.status == 401 and authorization is None:
            # Some registries answer `/v2/` to everybody and ask at the repository.
            authorization = await self._authorization(registry, answer)
            answer = await self._get("repository", registry, target, authorization)
        where = f"'{repository}' at '{registry.authority}'"
        if answer.status == 404:
            raise UpstreamFailed(
                ProbeCode.NOT_FOUND,
                f"There is no repository {where}, or this credential may not know of it.",
            )
        if answer.status in (401, 403):
            raise UpstreamFailed(
                ProbeCode.FORBIDDEN,
                f"The credential may not pull {where} ({answer.status}), or there is no such "
                "repository. Give its account the right to pull.",
            )
        self._expect_success(registry, answer)
        return answer, authorization

    async def _authorization(self, registry: Peer, answer: Answer) -> Secret:
        """The Authorization header that ``answer``'s challenge asks for."""
        name = registry.authority
        try:
            challenges = parse_challenges(answer.headers.get_list("www-authenticate"))
        except ValueError:
            raise _protocol(
                f"'{name}' asks for a credential in a way that is malformed (WWW-Authenticate)."
            ) from None
        by_scheme = {challenge.scheme: challenge.parameters for challenge in challenges}
        if "bearer" in by_scheme:
            return await self._token(registry, by_scheme["bearer"])
        if "basic" not in by_scheme:
            raise _protocol(
                f"'{name}' asks for a credential, but neither by Basic nor by Bearer: it is no "
                "container registry, or none that Docker's clients can use."
            )
        if self._credential is None:
            raise UpstreamFailed(
                ProbeCode.UNAUTHORIZED,
                f"'{name}' asks for a user name and a password, and the record has none. "
                "Give it the type 'basic' and a credential.",
            )
        return _basic(self._credential)

    async def _token(self, registry: Peer, parameters: Mapping[str, str]) -> Secret:
        server, target = await self._token_server(registry, parameters)
        authorization = _basic(self._credential) if self._credential else None
        answer = await self._get("token", server, target, authorization)
        name = server.authority
        if answer.status in (400, 401, 403):
            refused = "the user name and password" if authorization else "to give one to anybody"
            raise UpstreamFailed(
                ProbeCode.FORBIDDEN if answer.status == 403 else ProbeCode.UNAUTHORIZED,
                f"The registry's token server '{name}' refused {refused} ({answer.status}). "
                "Store a credential that is valid and may pull.",
            )
        self._expect_success(server, answer)
        if answer.body is None:
            raise _protocol(f"The answer of the token server '{name}' is too large.")
        token = _token_in(answer.body)
        if token is None:
            raise _protocol(f"The answer of the token server '{name}' holds no token.")
        return Secret(f"Bearer {token}")

    async def _token_server(
        self, registry: Peer, parameters: Mapping[str, str]
    ) -> tuple[Peer, str]:
        """Where the token is, and the path and query to ask for it."""
        name = registry.authority
        try:
            url = httpx.URL(parameters.get("realm", ""))
        except httpx.InvalidURL:
            url = httpx.URL("")
        is_web = url.scheme in ("http", "https") and (url.port or 0) <= _MAX_PORT
        if not is_web or not _HOST.fullmatch(url.host):
            raise _protocol(f"'{name}' asks for a token, but names no URL to get it from (realm).")
        host = url.raw_host.decode("ascii")
        plain = url.scheme == "http"
        on_loopback = plain and registry.scheme == "http" and registry.is_loopback
        if plain and not (on_loopback and is_loopback(host)):
            raise _unencrypted(name, host)
        query = {"service": parameters["service"]} if "service" in parameters else {}
        if self._target.repository is not None:
            query["scope"] = f"repository:{self._target.repository}:pull"
        server = await self._upstream.peer(url.scheme, host, url.port)
        if plain and not server.is_loopback:
            raise _unencrypted(name, host)
        return server, url.copy_merge_params(query).raw_path.decode("ascii")

    async def _get(
        self, step: str, peer: Peer, target: str, authorization: Secret | None = None
    ) -> Answer:
        """As Upstream.get; what means the same at every step is refused here."""
        answer = await self._upstream.get(step, peer, target, authorization)
        name = peer.authority
        if answer.status == 429:
            raise self._rate_limited(peer, answer, "takes no more requests for now (429)")
        if 300 <= answer.status < 400:
            raise _protocol(
                f"'{name}' redirects to {_redirect_host(peer, answer)}, and a credential is never "
                "sent on. Write the registry's real host in the record."
            )
        if answer.status >= 500:
            raise _protocol(
                f"'{name}' has a fault of its own ({answer.status}). Try again later, or tell who "
                "runs it."
            )
        return answer

    def _expect_login(self, registry: Peer, answer: Answer) -> None:
        name = registry.authority
        if answer.status == 401:
            raise UpstreamFailed(
                ProbeCode.UNAUTHORIZED,
                f"'{name}' refused the user name and password (401). Store the right ones in the "
                "record.",
            )
        if answer.status == 403:
            raise UpstreamFailed(
                ProbeCode.FORBIDDEN,
                f"'{name}' denies access (403): to this account, or to this server's address.",
            )
        html = answer.headers.get("content-type", "").lower().startswith("text/html")
        if answer.status == 404 or html or answer.body is None:
            raise _protocol(
                f"'{name}' is no container registry: it does not know {_API}. Check the host and "
                "port."
            )
        self._expect_success(registry, answer)

    def _expect_success(self, peer: Peer, answer: Answer) -> None:
        if answer.status != 200:
            raise _protocol(
                f"'{peer.authority}' answers with an unexpected status ({answer.status}). Check "
                "that it is a container registry."
            )

    def _rate_limited(self, peer: Peer, answer: Answer, problem: str) -> UpstreamFailed:
        reset = reset_time(answer.headers, self._now)
        until = "It does not say until when."
        if reset is not None:
            until = f"It will again from {timestamp.render(reset)} on."
        return UpstreamFailed(ProbeCode.RATE_LIMITED, f"'{peer.authority}' {problem}. {until}")

    def _success(self, registry: Peer, *, tried: bool) -> str:
        name, repository = registry.authority, self._target.repository
        if repository is not None:
            what = f"'{repository}' can be pulled from '{name}'"
        else:
            what = f"'{name}' lets this record in"
        if self._credential is not None and not tried:
            hint = "" if repository else " Name a repository that needs it, to try it."
            return f"{what} without asking for its credential, which was not tried.{hint}"
        return f"{what}." if self._credential else f"{what} without a credential."


def _failed(steps: tuple[Step, ...], message: str) -> tuple[Step, ...]:
    """``steps``, of which the last failed: also where an answer came, but not the wanted one."""
    *before, last = steps
    return (*before, replace(last, ok=False, message=message))


def _basic(credential: Credential) -> Secret:
    # RFC 7617 section 2; UTF-8, as Docker's clients have it.
    pair = f"{credential.username}:{credential.password.reveal()}"
    return Secret("Basic " + base64.b64encode(pair.encode()).decode())


def _token_in(body: bytes) -> str | None:
    try:
        fields: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    # OAuth 2.0's name for it is taken too, and is the same where both are there.
    token = fields.get("token") or fields.get("access_token")
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None


def _redirect_host(peer: Peer, answer: Answer) -> str:
    """The host alone: the rest of a Location can hold anything."""
    try:
        host = httpx.URL(answer.headers.get("location", "")).host or peer.host
    except httpx.InvalidURL:
        host = ""
    return f"'{host}'" if _HOST.fullmatch(host) else "another address"


def _protocol(message: str) -> UpstreamFailed:
    return UpstreamFailed(ProbeCode.PROTOCOL, message)


def _unencrypted(registry: str, host: str) -> UpstreamFailed:
    return _protocol(
        f"'{registry}' wants the credential sent to '{host}' without TLS, which is never done. "
        "Have its token server (realm) put behind https."
    )
