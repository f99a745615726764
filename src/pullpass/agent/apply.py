"""Carries out what is planned for a namespace: server-side apply, and nothing that is not ours."""

from __future__ import annotations

from typing import Protocol

from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.types import PatchType

from pullpass.agent.cluster import Cluster
from pullpass.agent.credentials import Trouble
from pullpass.agent.kube import KubeError, said, status_of
from pullpass.agent.marks import ATTACHED
from pullpass.agent.objects import is_ours
from pullpass.agent.plan import ApplySecret, DeleteSecret, SetPullSecrets, Write
from pullpass.agent.shapes import Secret, ServiceAccount

_NOT_FOUND, _CONFLICT, _FORBIDDEN, _INVALID = 404, 409, 403, 422
_TERMINATING = "being terminated"


class WriteFailed(Exception):
    """A write did not work; ``trouble`` says why. ``waits``: another try soon may help."""

    def __init__(self, trouble: Trouble, *, waits: bool) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble
        self.waits = waits


class Gone(Exception):
    """The namespace, or the object, goes or went: there is nothing to do."""


class Writer(Protocol):
    async def write(self, namespace: str, write: Write) -> None:
        """Raises WriteFailed or Gone."""


class Applier:
    """Writes, and tells the memory of the cluster what came of it, ahead of the watch: so that
    nothing is written twice.
    """

    def __init__(self, client: AsyncClient, cluster: Cluster) -> None:
        self._client = client
        self._cluster = cluster

    async def write(self, namespace: str, write: Write) -> None:
        try:
            match write:
                case ApplySecret():
                    await self._apply(namespace, write)
                case SetPullSecrets():
                    await self._attach(namespace, write)
                case DeleteSecret():
                    await self._delete(namespace, write.name)
        except KubeError as error:
            raise _failure(error) from None

    async def _apply(self, namespace: str, write: ApplySecret) -> None:
        if write.replace:
            await self._delete(namespace, write.name)
        # A plain object, so that its answer is read as what is watched is.
        secret: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": write.name,
                "namespace": namespace,
                "labels": write.content.labels,
                "annotations": write.content.annotations,
            },
            "type": write.content.type,
            "data": dict(write.content.data),
        }
        try:
            # What is ours stays ours, also after somebody has edited it; of what is not known to
            # be, nothing is taken over.
            found = await self._send(namespace, write.name, secret, force=write.exists)
        except ApiError as error:
            if write.exists or status_of(error) not in (_CONFLICT, _INVALID):
                raise
            there = await self._client.get(Secret, write.name, namespace=namespace)
            if not is_ours(there):
                raise WriteFailed(_taken(namespace, write.name), waits=False) from None
            if there.type != write.content.type:
                await self._delete(namespace, write.name)
            found = await self._send(namespace, write.name, secret, force=True)
        self._cluster.secrets.put(found)

    async def _send(
        self, namespace: str, name: str, secret: dict[str, object], *, force: bool
    ) -> Secret:
        return await self._client.patch(
            Secret, name, secret, namespace=namespace, patch_type=PatchType.APPLY, force=force
        )

    async def _attach(self, namespace: str, write: SetPullSecrets) -> None:
        # The list is atomic for server-side apply, which would take others' entries with it; the
        # version sees to it that none is lost.
        attached = ",".join(sorted(write.attached))
        patch = {
            "metadata": {
                "resourceVersion": write.version,
                "annotations": {ATTACHED: attached or None},
            },
            "imagePullSecrets": [{"name": name} for name in write.pull_secrets],
        }
        found = await self._client.patch(
            ServiceAccount,
            write.account,
            patch,
            namespace=namespace,
            patch_type=PatchType.MERGE,
        )
        self._cluster.accounts.put(found)

    async def _delete(self, namespace: str, name: str) -> None:
        try:
            await self._client.delete(Secret, name, namespace=namespace)
        except ApiError as error:
            if status_of(error) != _NOT_FOUND:
                raise
        self._cluster.secrets.drop((namespace, name))


def _taken(namespace: str, name: str) -> Trouble:
    return Trouble(
        "secret_taken",
        f"There is a secret {namespace}/{name} that the agent has not made, and it is left alone. "
        "Delete or rename it.",
    )


def _failure(error: Exception) -> Exception:
    status, message = status_of(error), said(error)
    if status == _NOT_FOUND or (status == _FORBIDDEN and _TERMINATING in message):
        return Gone()
    if status == _CONFLICT:
        # Somebody was faster: the watch brings what they wrote, and then it is planned anew.
        return WriteFailed(Trouble("conflict", message), waits=True)
    if status == _FORBIDDEN:
        return WriteFailed(Trouble("forbidden", message), waits=False)
    if status == _INVALID:
        return WriteFailed(Trouble("refused", message), waits=False)
    return WriteFailed(Trouble("api_server", message), waits=True)
