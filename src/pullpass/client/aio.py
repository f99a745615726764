"""The asynchronous driver: the mirror of ``sync``, and nothing that is not in it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx

from pullpass.client import clusters, compatible, configs, operations, retry, transport, trust
from pullpass.client.address import Destination, checked_token
from pullpass.client.binding import described
from pullpass.client.errors import ClientError, InvalidArgument
from pullpass.client.models import Matches
from pullpass.client.secret import Secret
from pullpass.client.wire import Operation, Page, Request, Response

P = ParamSpec("P")
T = TypeVar("T")


class Driver(Destination):
    """Sends operations to one server, with one token, and reads what comes back."""

    def __init__(
        self,
        url: str,
        organization: str | None,
        token: Secret | str | None,
        timeout: float,
        ca_bundle: str | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(url, organization)
        self._sleep = sleep
        checked = None if token is None else checked_token(token)
        with transport.options(self.base, checked, timeout, ca_bundle) as options:
            self._http = httpx.AsyncClient(**options)

    async def run(self, operation: Operation[T]) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                return operation.read(await self._send(operation.request))
            except ClientError as error:
                # Jitter needs no secrecy.
                jitter = random.random()  # noqa: S311
                delay = retry.delay(operation.request, error, tries, jitter=jitter)
                if delay is None:
                    raise
            await self._sleep(delay)

    async def close(self) -> None:
        await self._http.aclose()

    async def _send(self, request: Request) -> Response:
        if self._http.is_closed:
            raise InvalidArgument("The client is closed.")
        try:
            answer = await self._http.request(
                request.method,
                self.base + request.target,
                content=request.body,
                headers=dict(request.headers),
            )
        except transport.FAULTS as error:
            raise transport.failure(self.base, error) from None
        return transport.response(answer)


class Group:
    """Calls about one kind of thing, sent by one driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver


def call(
    build: Callable[P, Operation[T]],
) -> Callable[Concatenate[Group, P], Coroutine[Any, Any, T]]:
    """A call about what its arguments name."""

    async def method(group: Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await group._driver.run(build(*args, **kwargs))

    return described(method, build)


def of_own(
    build: Callable[Concatenate[str, P], Operation[T]],
) -> Callable[Concatenate[Group, P], Coroutine[Any, Any, T]]:
    """A call about the client's own organization."""

    async def method(group: Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await group._driver.run(build(group._driver.organization(), *args, **kwargs))

    return described(method, build, given=1)


def each_of_own(
    build: Callable[Concatenate[str, P], Operation[Page[T]]],
) -> Callable[Concatenate[Group, P], AsyncGenerator[T, None]]:
    """An iterator over a list that comes in pages, of the client's own organization."""

    async def method(group: Group, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        page: Operation[Page[T]] | None = build(group._driver.organization(), *args, **kwargs)
        while page is not None:
            found = await group._driver.run(page)
            for item in found.items:
                yield item
            page = found.next

    return described(method, build, given=1)


class Registries(Group):
    """The registry records of the client's organization."""

    list = of_own(operations.list_registries)
    iterate = each_of_own(operations.page_registries)
    get = of_own(operations.get_registry)
    create = of_own(operations.create_registry)
    update = of_own(operations.update_registry)
    delete = of_own(operations.delete_registry)
    creds = of_own(operations.registry_creds)
    check = of_own(operations.check_registry)
    docker_config = of_own(configs.registry_config)

    async def match(self, images: Sequence[str]) -> Matches:
        """The record of each image, and why."""
        parts = operations.match_images(self._driver.organization(), images)
        return Matches.joined([await self._driver.run(part) for part in parts])


class Users(Group):
    """The members of the client's organization."""

    list = of_own(operations.list_users)
    get = of_own(operations.get_user)
    create = of_own(operations.create_user)
    update = of_own(operations.update_user)
    delete = of_own(operations.delete_user)


class Clusters(Group):
    """The clusters of the client's organization, as their agents report them."""

    list = of_own(clusters.list_clusters)
    get = of_own(clusters.get_cluster)
    forget = of_own(clusters.forget_cluster)
    report = of_own(clusters.report_cluster)


class Tokens(Group):
    """The API tokens of one user or another."""

    list = call(operations.list_tokens)
    get = call(operations.get_token)
    create = call(operations.create_token)
    delete = call(operations.delete_token)


class TrustRules(Group):
    """Whose identity tokens the client's organization takes."""

    list = of_own(trust.list_rules)
    get = of_own(trust.get_rule)
    create = of_own(trust.create_rule)
    update = of_own(trust.update_rule)
    delete = of_own(trust.delete_rule)
    test = of_own(trust.test_rules)


class Audit(Group):
    """The audit log of the client's organization."""

    iterate = each_of_own(operations.list_audit_entries)
    export = each_of_own(operations.export_audit_entries)


class CompatibleRegistry(Group):
    """The operations of the compatible API, under their names there."""

    get_orgs_org_id_registries = call(compatible.get_orgs_org_id_registries)
    post_orgs_org_id_registries = call(compatible.post_orgs_org_id_registries)
    get_orgs_org_id_registries_reg_id = call(compatible.get_orgs_org_id_registries_reg_id)
    patch_orgs_org_id_registries_reg_id = call(compatible.patch_orgs_org_id_registries_reg_id)
    delete_orgs_org_id_registries_reg_id = call(compatible.delete_orgs_org_id_registries_reg_id)
    get_orgs_org_id_registries_reg_id_creds = call(
        compatible.get_orgs_org_id_registries_reg_id_creds
    )


class AsyncClient(Group):
    """As :class:`pullpass.client.sync.Client`, with calls that are awaited.

    Usable as an asynchronous context manager, and by several tasks of one event loop. A call that
    is cancelled gives its connection up; the server may have done what was asked.
    """

    def __init__(
        self,
        url: str,
        organization: str | None,
        token: Secret | str | None,
        *,
        timeout: float = 30.0,
        ca_bundle: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(Driver(url, organization, token, timeout, ca_bundle, sleep))
        self.registries = Registries(self._driver)
        self.registry = CompatibleRegistry(self._driver)
        self.users = Users(self._driver)
        self.tokens = Tokens(self._driver)
        self.trust_rules = TrustRules(self._driver)
        self.audit = Audit(self._driver)
        self.clusters = Clusters(self._driver)

    image_creds = of_own(operations.image_creds)
    host_creds = of_own(operations.host_creds)
    docker_config = of_own(configs.images_config)
    exchange_token = of_own(trust.exchange_token)
    changes = of_own(clusters.changes)
    current_user = call(operations.current_user)
    update_current_user = call(operations.update_current_user)
    organizations = call(operations.list_organizations)
    organization = of_own(operations.get_organization)

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
