"""The two paths of the Kubernetes API that list secrets, at the wire and over TLS: no API server
can be had here (https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/).
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.parts.certificates import Certificates, make_certificates

TOKEN = "canary-cluster-token-8d3f"


@dataclass(frozen=True, slots=True)
class StoredSecret:
    namespace: str
    name: str
    content: bytes = field(repr=False)
    type: str = "kubernetes.io/dockerconfigjson"

    def rendered(self) -> dict[str, object]:
        datum = "." + self.type.rpartition("/")[2]
        return {
            "metadata": {"namespace": self.namespace, "name": self.name},
            "type": self.type,
            "data": {datum: base64.b64encode(self.content).decode()},
        }


class Cluster:
    """An API server with these secrets, which knows one token and one client certificate."""

    def __init__(self, folder: Path) -> None:
        self.secrets: list[StoredSecret] = []
        # What it was asked: path, and each parameter of the query.
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.most = 2
        self.certificates: Certificates = make_certificates(folder)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificates.certificate, self.certificates.key)
        context.load_verify_locations(self.certificates.authority)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._http.server_port}"

    def kubeconfig(self, path: Path, *, namespace: str = "web", **user: object) -> Path:
        """Writes a kubeconfig with this user, and a second context with one who is unknown."""
        authority = base64.b64encode(self.certificates.authority.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        contexts = {"main": "someone", "stranger": "nobody"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [
                {"name": "someone", "user": user},
                {"name": "nobody", "user": {"token": "unknown"}},
            ],
            "contexts": [
                {"name": name, "context": {"cluster": "here", "user": user, "namespace": namespace}}
                for name, user in contexts.items()
            ],
            "current-context": "main",
        }
        path.write_text(json.dumps(content))  # JSON is YAML
        return path

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, target: str, known: bool) -> tuple[int, dict[str, object]]:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append((url.path, query))
        if not known:
            return 401, _status(401, "Unauthorized")
        match url.path.split("/")[1:]:
            case ["api", "v1", "secrets"]:
                there = self.secrets
            case ["api", "v1", "namespaces", namespace, "secrets"]:
                if namespace == "forbidden":
                    return 403, _status(403, 'secrets is forbidden in the namespace "forbidden"')
                there = [secret for secret in self.secrets if secret.namespace == namespace]
            case _:
                return 404, _status(404, "the server could not find the requested resource")
        wanted = query.get("fieldSelector", "").removeprefix("type=")
        found = [secret for secret in there if wanted in ("", secret.type)]
        start = int(query.get("continue", "0"))
        end = start + min(self.most, int(query.get("limit", "1000")))
        metadata = {"resourceVersion": "1"}
        if end < len(found):
            metadata["continue"] = str(end)
        items = [secret.rendered() for secret in found[start:end]]
        return 200, {
            "kind": "SecretList",
            "apiVersion": "v1",
            "metadata": metadata,
            "items": items,
        }

    def _handler(cluster) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert isinstance(self.connection, ssl.SSLSocket)
                by_token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                known = by_token or bool(self.connection.getpeercert())
                status, fields = cluster._answer(self.path, known)
                body = json.dumps(fields).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _status(code: int, message: str) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "code": code,
    }


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    running = Cluster(folder)
    try:
        yield running
    finally:
        running.stop()
