"""The connection to the API server: rate limit, bookmarks, counting."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping

import httpx2
from lightkube import AsyncClient, KubeConfig, operators
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ApiError, ConfigError

from pullpass.agent.marks import MANAGER

# Of kinds that lightkube knows; errors of the connection and of the server alike.
KubeError = httpx2.HTTPError
Selector = dict[str, object]

_SECONDS = 30.0
_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<gone>[\w./-]+)"
    r"|(?P<key>[\w./-]+)(?:\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)"
    r"|\s+(?P<set>in|notin)\s*\((?P<values>[\w.,\s-]*)\))?)\s*"
)


class SettingsError(Exception):
    """A setting of the agent is not as it should be; the message says which, and what would be."""


class RateLimit:
    """At most ``rate`` requests per second in the long run, and ``burst`` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled = time.monotonic()

    async def wait(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        # A debt makes those who come later wait longer: first come, first served.
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)


class Transport(httpx2.AsyncBaseTransport):
    """Sends what lightkube asks, not faster than the limit.

    Watches ask for bookmarks, so that one of a quiet kind can be resumed after hours; the Lease
    never waits, or a busy leader would lose it.
    """

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, limit: RateLimit, count: Callable[[str], None]
    ) -> None:
        self._inner = inner
        self._limit = limit
        self._count = count

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.params.get("watch") == "true":
            self._count("WATCH")
            request.url = request.url.copy_merge_params({"allowWatchBookmarks": "true"})
        elif "/leases" in request.url.path:
            self._count("LEASE")
        else:
            self._count(request.method)
            await self._limit.wait()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def configuration(context: str | None) -> SingleConfig:
    """That of the pod the agent runs in; else of KUBECONFIG, or of ~/.kube/config.

    Raises:
        SettingsError: there is none, or it cannot be used.
    """
    try:
        found = KubeConfig.from_env().get(context_name=context)
    except ConfigError as error:
        raise SettingsError(f"No way to a Kubernetes cluster: {error}.") from None
    except (KeyError, OSError, ValueError, TypeError) as error:
        path = os.environ.get("KUBECONFIG", "~/.kube/config")
        raise SettingsError(f"The kubeconfig {path} cannot be used: {error}.") from None
    if found is None:
        raise SettingsError("The kubeconfig has no current context: name one with --context.")
    return found


def connect(config: SingleConfig, limit: RateLimit, count: Callable[[str], None]) -> AsyncClient:
    """A client of the cluster that ``config`` names.

    Raises:
        SettingsError: its certificates cannot be used.
    """
    if config.user is None:
        raise SettingsError("The kubeconfig names no user.")
    try:
        verify = verify_cluster(config.cluster, config.user, config.abs_file)
    except (OSError, ConfigError) as error:
        raise SettingsError(f"The cluster's certificates cannot be used: {error}.") from None
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    inner = httpx2.AsyncHTTPTransport(verify=verify, limits=limits)
    return AsyncClient(
        config=config,
        field_manager=MANAGER,
        timeout=httpx2.Timeout(_SECONDS),
        transport=Transport(inner, limit, count),
    )


def status_of(error: Exception) -> int:
    """The HTTP status of a refusal; 0 where there was none."""
    if isinstance(error, ApiError) and error.status.code:
        return int(error.status.code)
    if isinstance(error, httpx2.HTTPStatusError) and error.response is not None:
        return int(error.response.status_code)
    return 0


def said(error: Exception) -> str:
    """What went wrong, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:500]


def label_selector(text: str) -> Selector:
    """A label selector as kubectl takes it: `team=a,env in (dev,test),!legacy`.

    Raises:
        SettingsError: it is not one.
    """
    found: Selector = {}
    at = 0
    while at < len(text.rstrip()):
        match = _REQUIREMENT.match(text, at)
        end = match.end() if match else at
        if match is None or (end < len(text) and text[end] != ","):
            raise SettingsError(
                f"The namespace selector {text!r} is no label selector; "
                "expected one like 'team=a,env in (dev,test),!legacy'."
            )
        key = match["gone"] or match["key"]
        found[key] = _requirement(match)
        at = end + 1
    return found


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether an object with ``labels`` is one of those that an API server would list."""
    for key, requirement in selector.items():
        assert isinstance(requirement, operators.Operator)
        value, wanted = labels.get(key), requirement.value
        match requirement.op_name:
            case "exists":
                found = value is not None
            case "not_exists":
                found = value is None
            case "equal":
                found = value == wanted
            case "not_equal":
                found = value != wanted
            case "in_":
                found = value in wanted
            case _:
                found = value not in wanted
        if not found:
            return False
    return True


def _requirement(match: re.Match[str]) -> object:
    if match["absent"]:
        return operators.not_exists()
    if match["set"]:
        values = [value.strip() for value in match["values"].split(",")]
        return operators.in_(values) if match["set"] == "in" else operators.not_in(values)
    if match["op"] == "!=":
        return operators.not_equal(match["value"])
    if match["op"]:
        return operators.equal(match["value"])
    return operators.exists()
