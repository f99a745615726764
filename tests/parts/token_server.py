"""A token server, as the registry's Bearer challenge names one
(https://distribution.github.io/distribution/spec/auth/jwt/).
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.parts.certificates import make_certificates

SERVICE = "test-registry"
ISSUER = "test-issuer"


class TokenServer:
    """Gives whoever knows a user's password a signed token with as much of the asked-for access
    as the user has; who sends no password gets a token without any.
    """

    def __init__(
        self, folder: Path, users: Mapping[str, str], rights: Mapping[str, set[str]]
    ) -> None:
        self._users = users
        self._rights = rights
        made = make_certificates(folder)
        self._authority = made.authority
        key = serialization.load_pem_private_key(made.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        der = ssl.PEM_cert_to_DER_cert(made.certificate.read_text())
        self._certificate = base64.b64encode(der).decode()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def registry_auth(self) -> dict[str, object]:
        """The registry's `auth` section that makes it send its clients here."""
        return {
            "token": {
                "realm": f"http://127.0.0.1:{self._http.server_port}/token?tenant=kept",
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(self._authority),
            }
        }

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, target: str, authorization: str | None) -> tuple[int, dict[str, object]]:
        query = parse_qs(urlsplit(target).query)
        if query["service"] != [SERVICE] or query["tenant"] != ["kept"]:
            return 400, {"details": "not asked as the challenge says"}
        user = ""
        if authorization is not None:
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            user, _, password = pair.partition(":")
            if self._users.get(user) != password:
                return 401, {"details": "incorrect username or password"}
        access: list[dict[str, object]] = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            if name in self._rights.get(user, set()):
                access.append({"type": kind, "name": name, "actions": actions.split(",")})
        return 200, {"token": self._token(user, access), "expires_in": 300}

    def _token(self, user: str, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "jti": "1",
            "access": access,
            "nbf": now - 10,
            "iat": now,
            "exp": now + 300,
        }
        header = {"typ": "JWT", "alg": "ES256", "x5c": [self._certificate]}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = _encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return (signed + b"." + signature).decode()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, fields = server._answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(fields).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@contextmanager
def token_server(
    folder: Path, *, users: Mapping[str, str], rights: Mapping[str, set[str]]
) -> Iterator[TokenServer]:
    """Serves until the block ends. ``rights``: the repositories that each user may pull."""
    server = TokenServer(folder, users, rights)
    try:
        yield server
    finally:
        server.stop()
