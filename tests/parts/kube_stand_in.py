"""A stand-in of the Kubernetes API server, for where the real one cannot be had.

At the wire: it stores objects of the few kinds that the agent uses, in versions that count up, and
answers get, list (in pages), watch (from a version, with bookmarks), create, replace, delete, and
patch: JSON, merge (which strategic merge is taken for), and server-side apply with managed fields.
Discovery is there for kubectl. Tokens are told apart, but anybody who has one may do anything.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.parts.kube_apply import Refused, apply, merge_patch, patch_json, set_owner

Object = dict[str, Any]

KINDS = {
    "namespaces": ("v1", "Namespace"),
    "pods": ("v1", "Pod"),
    "secrets": ("v1", "Secret"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "events": ("v1", "Event"),
    "deployments": ("apps/v1", "Deployment"),
    "statefulsets": ("apps/v1", "StatefulSet"),
    "daemonsets": ("apps/v1", "DaemonSet"),
    "jobs": ("batch/v1", "Job"),
    "cronjobs": ("batch/v1", "CronJob"),
    "leases": ("coordination.k8s.io/v1", "Lease"),
    "clusterroles": ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    "clusterrolebindings": ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
    "rolebindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}
GLOBAL = ("namespaces", "clusterroles", "clusterrolebindings")
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@dataclass
class _Target:
    """What a path names."""

    plural: str
    namespace: str | None
    name: str | None


@dataclass
class _Stored:
    """All objects, and what happened to them since ``oldest``."""

    version: int = 1
    oldest: int = 1
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    history: list[tuple[int, str, tuple[str, str, str], Object]] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


class StandIn:
    """Runs from the time that it is made. ``restart`` forgets what happened, and ends watches."""

    authority: Path | None = None

    def __init__(self) -> None:
        self._stored = _Stored()
        self._changed = threading.Condition()
        self._generation = 0
        with self._changed:
            for name in ("default", "kube-system"):
                self._put("ADDED", _Target("namespaces", None, name), {"metadata": {"name": name}})
        self._http = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self.restart()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def restart(self) -> None:
        with self._changed:
            self._generation += 1
            self._stored.history.clear()
            self._stored.oldest = self._stored.version
            self._changed.notify_all()

    def answer(
        self,
        method: str,
        target: _Target,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
    ) -> Object:
        """What the server says to anything but a watch. Raises Refused."""
        with self._changed:
            key = (target.plural, target.namespace or "", target.name or "")
            there = self._stored.objects.get(key)
            # JSON too is YAML, which patches for server-side apply may be in.
            sent: Any = yaml.safe_load(body) if body else {}
            manager = query.get("fieldManager", headers.get("user-agent", "").partition("/")[0])
            if method == "GET" and target.name is None:
                return self._list(target, query)
            if method == "POST":
                target.name = sent["metadata"]["name"]
                if (target.plural, target.namespace or "", target.name) in self._stored.objects:
                    raise Refused(409, f'{target.plural} "{target.name}" already exists')
                return self._put("ADDED", target, set_owner(sent, {}, manager, "Update"))
            if method == "PATCH" and "apply" in headers["content-type"]:
                force = query.get("force") == "true"
                made = apply(sent, there or {}, manager, force=force)
                return self._put("MODIFIED" if there else "ADDED", target, made)
            if there is None:
                raise Refused(404, f'{target.plural} "{target.name}" not found')
            if method == "GET":
                return there
            if method == "DELETE":
                return self._delete(target, there)
            if method == "PATCH":
                by_json = "json-patch" in headers["content-type"]
                made = patch_json(there, sent) if by_json else merge_patch(there, sent)
            else:
                made = sent
            version = (made.get("metadata") or {}).get("resourceVersion")
            if version not in (None, there["metadata"]["resourceVersion"]):
                raise Refused(409, "the object has been modified; please apply your changes again")
            return self._put("MODIFIED", target, set_owner(made, there, manager, "Update"))

    def watch(self, target: _Target, query: dict[str, str]) -> Iterator[Object]:
        """Events until the time is over, or the server is restarted."""
        deadline = time.monotonic() + float(query.get("timeoutSeconds", "300"))
        with self._changed:
            at, generation = int(query.get("resourceVersion") or 0), self._generation
            if at < self._stored.oldest:
                yield {"type": "ERROR", "object": _status(410, "too old resource version")}
                return
            known = {key for key in self._stored.objects if self._selected(key, None, target)}
        while time.monotonic() < deadline:
            with self._changed:
                if generation != self._generation:
                    return
                found = [event for event in self._stored.history if event[0] > at]
                if not found:
                    self._changed.wait(min(1.0, max(0.0, deadline - time.monotonic())))
                    continue
                at = found[-1][0]
            for _, kind, key, content in found:
                if not self._selected(key, None, target):
                    continue
                selected = kind != "DELETED" and _matches(content, query)
                if selected:
                    yield {"type": "MODIFIED" if key in known else "ADDED", "object": content}
                    known.add(key)
                elif key in known:
                    known.discard(key)
                    yield {"type": "DELETED", "object": content}
            if query.get("allowWatchBookmarks") == "true":
                group, kind_name = KINDS[target.plural]
                bookmark = {"resourceVersion": str(at)}
                yield {
                    "type": "BOOKMARK",
                    "object": {"apiVersion": group, "kind": kind_name, "metadata": bookmark},
                }

    def _list(self, target: _Target, query: dict[str, str]) -> Object:
        group, kind = KINDS[target.plural]
        keys = sorted(
            key
            for key, content in self._stored.objects.items()
            if self._selected(key, content, target) and _matches(content, query)
        )
        start = int(base64.b64decode(query["continue"])) if "continue" in query else 0
        limit = int(query.get("limit") or 0) or len(keys)
        page = keys[start : start + limit]
        metadata = {"resourceVersion": str(self._stored.version)}
        if start + limit < len(keys):
            metadata["continue"] = base64.b64encode(str(start + limit).encode()).decode()
        items = [self._stored.objects[key] for key in page]
        return {"apiVersion": group, "kind": f"{kind}List", "metadata": metadata, "items": items}

    def _selected(self, key: tuple[str, str, str], _: Object | None, target: _Target) -> bool:
        return key[0] == target.plural and target.namespace in (None, key[1])

    def _put(self, event: str, target: _Target, content: Object) -> Object:
        assert target.name is not None
        key = (target.plural, target.namespace or "", target.name)
        there = self._stored.objects.get(key)
        namespace = ("namespaces", "", target.namespace or "")
        if target.namespace and namespace not in self._stored.objects:
            raise Refused(404, f'namespaces "{target.namespace}" not found')
        group, kind = KINDS[target.plural]
        content = {**content, "apiVersion": group, "kind": kind}
        metadata = {**content["metadata"], "name": target.name}
        if target.namespace:
            metadata["namespace"] = target.namespace
        if plain := content.pop("stringData", None):
            encoded = {
                name: base64.b64encode(text.encode()).decode() for name, text in plain.items()
            }
            content["data"] = {**content.get("data", {}), **encoded}
        if target.plural == "secrets":
            content.setdefault("type", "Opaque")
            if there is not None and there["type"] != content["type"]:
                raise Refused(422, "Secret is invalid: type: field is immutable")
        if target.plural == "namespaces":
            labels = {"kubernetes.io/metadata.name": target.name}
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        metadata["uid"] = there["metadata"]["uid"] if there else str(uuid.uuid4())
        metadata["resourceVersion"] = there["metadata"]["resourceVersion"] if there else ""
        content["metadata"] = metadata
        if there is not None and _without_fields(there) == _without_fields(content):
            return there
        self._stored.version += 1
        metadata["resourceVersion"] = str(self._stored.version)
        self._stored.objects[key] = content
        self._tell(event, key, content)
        return content

    def _delete(self, target: _Target, there: Object) -> Object:
        if target.plural == "namespaces":
            for key in [key for key in self._stored.objects if key[1] == target.name]:
                self._delete(_Target(*key), self._stored.objects[key])
        assert target.name is not None
        key = (target.plural, target.namespace or "", target.name)
        del self._stored.objects[key]
        self._stored.version += 1
        gone = {**there["metadata"], "resourceVersion": str(self._stored.version)}
        self._tell("DELETED", key, {**there, "metadata": gone})
        return _status(200, "deleted") | {"status": "Success"}

    def _tell(self, event: str, key: tuple[str, str, str], content: Object) -> None:
        self._stored.history.append((self._stored.version, event, key, content))
        self._changed.notify_all()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                try:
                    if (found := _discovery(url.path)) is not None:
                        self._send(200, found)
                        return
                    target = _target(url.path)
                    if query.get("watch") in ("true", "1"):
                        self._stream(server.watch(target, query))
                        return
                    answer = server.answer(self.command, target, query, headers, body)
                    self._send(201 if self.command == "POST" else 200, answer)
                except Refused as refused:
                    self._send(refused.status, _status(refused.status, str(refused)))

            def _send(self, status: int, content: Object) -> None:
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _stream(self, events: Iterator[Object]) -> None:
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for event in events:
                        self.wfile.write(json.dumps(event).encode() + b"\n")
                except OSError:
                    return

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _without_fields(content: Object) -> Object:
    """Without the times in it."""
    managed = [
        {name: value for name, value in entry.items() if name != "time"}
        for entry in content["metadata"].get("managedFields", ())
    ]
    return {**content, "metadata": {**content["metadata"], "managedFields": managed}}


def _target(path: str) -> _Target:
    match path.strip("/").split("/"):
        case ["api", _, *rest] | ["apis", _, _, *rest]:
            pass
        case _:
            raise Refused(404, "the server could not find the requested resource")
    match rest:
        case ["namespaces", namespace, plural, *name] if plural in KINDS:
            return _Target(plural, namespace, name[0] if name else None)
        case [plural, *name] if plural in KINDS:
            return _Target(plural, None, name[0] if name else None)
    raise Refused(404, "the server could not find the requested resource")


def _matches(content: Object, query: dict[str, str]) -> bool:
    metadata = content["metadata"]
    labels = metadata.get("labels") or {}
    for part in filter(None, query.get("labelSelector", "").split(",")):
        key, equal, value = part.partition("=")
        if key not in labels or (equal and labels[key] != value):
            return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        key, _, value = part.partition("=")
        if key == "metadata.name" and metadata["name"] != value:
            return False
    return True


def _status(code: int, message: str) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": {
            404: "NotFound",
            409: "AlreadyExists" if "exists" in message else "Conflict",
        }.get(code, "Invalid"),
        "message": message,
        "code": code,
    }


def _discovery(path: str) -> Object | None:
    """What kubectl asks before all else."""
    groups = sorted({group for group, _ in KINDS.values() if "/" in group})
    if path == "/version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.0-stand-in"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = [{"groupVersion": each, "version": each.split("/")[1]} for each in groups]
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": each["groupVersion"].split("/")[0],
                    "versions": [each],
                    "preferredVersion": each,
                }
                for each in versions
            ],
        }
    group = path.removeprefix("/api/").removeprefix("/apis/")
    if path.startswith("/api") and group in {"v1", *groups}:
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group,
            "resources": [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "kind": kind,
                    "namespaced": plural not in GLOBAL,
                    "verbs": _VERBS,
                    "shortNames": ["ns"] if plural == "namespaces" else [],
                }
                for plural, (of, kind) in KINDS.items()
                if of == group
            ],
        }
    return None
