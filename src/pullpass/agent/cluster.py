"""The cluster in memory: what is in each namespace, by informers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from lightkube import AsyncClient

from pullpass.agent.content import Content, of_source
from pullpass.agent.kube import Selector
from pullpass.agent.marks import MANAGED
from pullpass.agent.objects import (
    COPIED_TYPES,
    ImageReader,
    Images,
    Source,
    account_state,
    name_like,
    namespace_served,
    secret_state,
    source,
    workloads,
)
from pullpass.agent.plan import AccountState, Observed, SecretState
from pullpass.agent.shapes import Namespace, Secret, ServiceAccount
from pullpass.agent.watch import Informer, Key
from pullpass.client.models import SecretReference


class Cluster:
    """``changed`` is called with the name of a namespace in which something is different.

    Pods and pod templates are watched only ``with_images``.
    """

    def __init__(
        self,
        client: AsyncClient,
        changed: Callable[[str], None],
        *,
        selector: Selector,
        excluded: Iterable[str],
        with_images: bool,
    ) -> None:
        self._changed = changed
        self._in: dict[int, dict[str, set[str]]] = {}
        self.namespaces: Informer[bool] = Informer(
            client,
            Namespace,
            namespace_served(excluded),
            lambda key: changed(key[1]),
            namespace=None,
            labels=selector or None,
        )
        self.secrets: Informer[SecretState] = self._indexed(
            client, Secret, secret_state, labels=dict(MANAGED)
        )
        self.accounts: Informer[AccountState] = self._indexed(client, ServiceAccount, account_state)
        self.workloads: list[Informer[Images]] = [
            self._indexed(client, kind, project)
            for kind, project in (workloads(ImageReader()) if with_images else {}).items()
        ]

    def runs(self) -> list[Coroutine[Any, Any, None]]:
        """The work that keeps this up to date."""
        return [informer.run() for informer in self._informers()]

    async def wait_synced(self) -> None:
        """Return when all there is has been listed once."""
        for informer in self._informers():
            await informer.synced.wait()

    @property
    def synced(self) -> bool:
        return all(informer.synced.is_set() for informer in self._informers())

    def serves(self, namespace: str) -> bool:
        return ("", namespace) in self.namespaces.items

    def names(self) -> set[str]:
        """The namespaces that are served, and those that have secrets of the agent's still."""
        served = {name for _, name in self.namespaces.items}
        return served | {namespace for namespace, _ in self.secrets.items}

    def observed(self, namespace: str) -> Observed:
        return Observed(
            namespace, self._of(self.secrets, namespace), self._of(self.accounts, namespace)
        )

    def images(self, namespace: str) -> frozenset[str]:
        """All images that pods and pod templates there name."""
        return frozenset[str]().union(
            *(
                images
                for informer in self.workloads
                for images in self._of(informer, namespace).values()
            )
        )

    def _informers(self) -> list[Informer[Any]]:
        # Namespaces come last: what is in one is known when it is first looked at.
        return [self.secrets, self.accounts, *self.workloads, self.namespaces]

    def _of(self, informer: Informer[Any], namespace: str) -> dict[str, Any]:
        names = self._in[id(informer)].get(namespace, ())
        return {name: informer.items[namespace, name] for name in names}

    def _indexed(
        self,
        client: AsyncClient,
        kind: Any,
        project: Callable[[Any], Any],
        labels: Selector | None = None,
    ) -> Informer[Any]:
        index: dict[str, set[str]] = {}

        def changed(key: Key) -> None:
            namespace, name = key
            if key in informer.items:
                index.setdefault(namespace, set()).add(name)
            elif names := index.get(namespace):
                names.discard(name)
                if not names:
                    del index[namespace]
            self._changed(namespace)

        informer: Informer[Any] = Informer(client, kind, project, changed, labels=labels)
        self._in[id(informer)] = index
        return informer


class Sources:
    """The secrets that `secret_ref` records are copied from, each watched where it stands.

    ``changed`` is called with the ids of the records whose secret is another one now. From
    namespaces whose name is like one of ``excluded`` nothing is copied, or even read.
    """

    def __init__(
        self, client: AsyncClient, changed: Callable[[str], None], excluded: Iterable[str] = ()
    ) -> None:
        self.contents: dict[str, Content] = {}
        self._is_excluded = name_like(excluded)
        self._client = client
        self._changed = changed
        self._wanted: dict[str, SecretReference] = {}
        self._watched: dict[Key, tuple[Informer[Source], asyncio.Task[None]]] = {}

    def follow(self, wanted: dict[str, SecretReference]) -> None:
        """Watch these, by the id of their record, and no others."""
        self._wanted = dict(wanted)
        places = {_place(reference) for reference in wanted.values()}
        keys = {key for key in places if not self._is_excluded(key[0])}
        for key in self._watched.keys() - keys:
            self._watched.pop(key)[1].cancel()
        for key in keys - self._watched.keys():
            informer: Informer[Source] = Informer(
                self._client,
                Secret,
                source,
                self._take,
                namespace=key[0],
                fields={"metadata.name": key[1]},
            )
            self._watched[key] = informer, asyncio.create_task(self._watch(informer, key))
        for record_id in self.contents.keys() - wanted.keys():
            del self.contents[record_id]
        for key in keys:
            self._take(key)

    def missing(self, record_id: str) -> SecretReference | None:
        """The secret that the record names, where it is known not to be there."""
        reference = self._wanted.get(record_id)
        if reference is None or _place(reference) not in self._watched:
            return None
        informer, _ = self._watched[_place(reference)]
        there = _place(reference) in informer.items
        return reference if informer.synced.is_set() and not there else None

    def refused(self, record_id: str) -> str | None:
        """Why the secret that the record names is not copied, where it is known not to be."""
        reference = self._wanted.get(record_id)
        if reference is None:
            return None
        name = f"{reference.namespace}/{reference.secret}"
        if self._is_excluded(reference.namespace):
            return f"{name} is not copied: its namespace is one that the agent leaves alone."
        found = self._found(_place(reference))
        if found is None or found.type in COPIED_TYPES:
            return None
        return f"{name} is not copied: it is of the type {found.type}, and no pull secret."

    async def wait_synced(self) -> None:
        for informer, _ in list(self._watched.values()):
            await informer.synced.wait()

    async def close(self) -> None:
        tasks = [task for _, task in self._watched.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, informer: Informer[Source], key: Key) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(informer.run())
            await informer.synced.wait()
            # That it is missing is known only now.
            self._take(key)

    def _found(self, key: Key) -> Source | None:
        return self._watched[key][0].items.get(key) if key in self._watched else None

    def _take(self, key: Key) -> None:
        found = self._found(key)
        for record_id, reference in self._wanted.items():
            if _place(reference) != key:
                continue
            # A source that is gone leaves its copies as they are.
            if found is not None and found.type in COPIED_TYPES:
                content = of_source(record_id, found.type, dict(found.data))
                if self.contents.get(record_id) == content:
                    continue
                self.contents[record_id] = content
            self._changed(record_id)


def _place(reference: SecretReference) -> Key:
    return reference.namespace, reference.secret
