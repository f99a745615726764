"""The transit engine of HashiCorp Vault and OpenBao: a key that wraps the master key.

https://developer.hashicorp.com/vault/api-docs/secret/transit and
https://openbao.org/api-docs/secret/transit/. Nothing else of the server's is asked for than
encrypt, decrypt and rewrap of one key, and a log-in where a role is given.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from pathlib import Path

from pullpass.domain.credential import Secret
from pullpass.domain.errors import ExchangeRejected, ExchangeUnavailable
from pullpass.exchange.addresses import is_loopback
from pullpass.exchange.token_file import read_token_file
from pullpass.exchange.token_service import ServiceAnswer, TokenService
from pullpass.exchange.upstream import Outgoing

SCHEMES = ("hcvault://", "hcvault+http://")
EXPECTED = "hcvault://<host>[:<port>]/<mount>/keys/<name> (hcvault+http:// on this machine alone)"
_URI = re.compile(
    r"hcvault(?P<plain>\+http)?://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?P<port>:[0-9]{1,5})?"
    r"/(?P<mount>[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)/keys/(?P<key>[A-Za-z0-9_.-]+)",
    re.ASCII,
)
_DEFAULT_PORT = ":8200"
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, slots=True)
class Access:
    """How to come in: a token, the file that one is in, or a ``role`` that the identity token in
    ``jwt_file`` is exchanged for at ``auth`` (the mount of the Kubernetes or JWT auth method).
    """

    token: Secret | None = None
    token_file: Path | None = None
    role: str | None = None
    auth: str = "kubernetes"
    jwt_file: Path = SERVICE_ACCOUNT_TOKEN
    namespace: str | None = None


class TransitKey:
    """The key that ``uri`` names. Files are read at each call: whoever renews a token replaces it.

    ``deployment`` is left to what is wrapped: rewrap takes no associated data.
    """

    def __init__(self, uri: str, service: TokenService, access: Access) -> None:
        """Raises ValueError where ``uri`` is not as EXPECTED."""
        found = _URI.fullmatch(uri)
        if found is None:
            raise ValueError(f"is no key of a transit engine; expected {EXPECTED}")
        if found["plain"] and not is_loopback(found["host"].strip("[]")):
            raise ValueError("sends the master key without TLS; that is for this machine alone")
        scheme = "http" if found["plain"] else "https"
        self._base = f"{scheme}://{found['host']}{found['port'] or _DEFAULT_PORT}/v1"
        self._mount, self._key = found["mount"], found["key"]
        self._uri = uri
        self._service = service
        self._access = access

    @property
    def uri(self) -> str:
        return self._uri

    async def wrap(self, plain: bytes, deployment: str) -> bytes:
        text = base64.b64encode(plain).decode()
        return (await self._call("encrypt", {"plaintext": text}, "ciphertext")).encode()

    async def unwrap(self, wrapped: bytes, deployment: str) -> bytes:
        text = await self._call("decrypt", {"ciphertext": wrapped.decode()}, "plaintext")
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ExchangeUnavailable("Vault answers decrypt with no Base64.") from None

    async def rewrap(self, wrapped: bytes, deployment: str) -> bytes:
        fields = {"ciphertext": wrapped.decode()}
        return (await self._call("rewrap", fields, "ciphertext")).encode()

    async def _call(self, verb: str, fields: dict[str, str], wanted: str) -> str:
        path = f"{self._mount}/{verb}/{self._key}"
        answer = await self._post(path, fields, await self._token())
        if answer.status == 403:
            raise ExchangeRejected(
                f"Vault refuses the token for {path}: it has ended, or its policy lacks 'update' "
                "on that path."
            )
        if answer.status >= 300:
            raise ExchangeRejected(
                f"Vault refuses {path} ({answer.status}): check that the engine and the key are "
                "there, and that the master key was wrapped by this one."
            )
        data = answer.fields.get("data")
        value = data.get(wanted) if isinstance(data, dict) else None
        if not isinstance(value, str) or not value:
            raise ExchangeUnavailable(f"Vault answers {path} without a {wanted}.")
        return value

    async def _token(self) -> Secret:
        access = self._access
        if access.token is not None:
            return access.token
        if access.token_file is not None:
            return await _read(access.token_file, "Vault token file")
        if access.role is None:
            raise ExchangeRejected(
                "There is no token for Vault: give PULLPASS_VAULT_TOKEN_FILE, PULLPASS_VAULT_ROLE "
                "or PULLPASS_VAULT_TOKEN."
            )
        jwt = await _read(access.jwt_file, "identity token file")
        path = f"auth/{access.auth}/login"
        answer = await self._post(path, {"role": access.role, "jwt": jwt.reveal()}, None)
        auth = answer.fields.get("auth")
        token = auth.get("client_token") if isinstance(auth, dict) else None
        if answer.status >= 300 or not isinstance(token, str) or not token:
            raise ExchangeRejected(
                f"Vault refuses the identity token at {path} ({answer.status}): check the auth "
                f"method and its role '{access.role}'."
            )
        return Secret(token)

    async def _post(self, path: str, fields: dict[str, str], token: Secret | None) -> ServiceAnswer:
        headers = {"Content-Type": "application/json", "X-Vault-Request": "true"}
        if token is not None:
            headers["X-Vault-Token"] = token.reveal()
        if self._access.namespace is not None:
            headers["X-Vault-Namespace"] = self._access.namespace
        outgoing = Outgoing("POST", headers, json.dumps(fields).encode())
        return await self._service.call("Vault", f"{self._base}/{path}", outgoing)


async def _read(path: Path, name: str) -> Secret:
    try:
        text = await read_token_file(path)
    except (OSError, UnicodeDecodeError):
        raise ExchangeRejected(f"The {name} {path} cannot be read.") from None
    if not text or not text.isascii() or not text.isprintable():
        raise ExchangeRejected(f"The {name} {path} holds no token.")
    return Secret(text)
