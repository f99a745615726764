"""An OpenID provider in miniature: people sign in there, and clients redeem its codes.

It is as strict as a real one: a code is good once, for the client, the redirect URI and the PKCE
challenge that it was asked for with, and nothing else is answered.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.parts.oidc import IssuerServer, new_key
from tests.parts.ports import free_port
from tests.parts.server import PullpassServer, pullpass_server
from tests.parts.wire import Received, Scripted, answer

CLIENT_ID = "pullpass"
CLIENT_SECRET = "canary-client-secret-77b1"

JO: Mapping[str, object] = {
    "sub": "f81d4fae-jo",
    "name": "Jo Trigg",
    "email": "jo@example.com",
    "email_verified": True,
    "groups": ["everybody"],
}


@dataclass(frozen=True, slots=True)
class _Asked:
    redirect_uri: str
    challenge: str
    nonce: str


class OpenIdProvider(IssuerServer):
    """``person``: who sits before it. ``redirects``: where a client may be sent back to.
    ``wrong``: what differs in the next identity tokens. ``thin``: these hold nothing but who it is,
    and the rest is at the UserInfo endpoint. ``auth``: how clients say who they are, `basic`,
    `post`, or `none` for a public one. ``issued``: every secret that it gave out.
    """

    def __init__(self) -> None:
        self.person: Mapping[str, object] = JO
        self.redirects: set[str] = set()
        self.wrong: dict[str, object] = {}
        self.thin = False
        self.auth = "basic"
        self.issued: list[str] = []
        self._codes: dict[str, _Asked] = {}
        super().__init__()
        self.keys = [new_key(kind="RS256")]
        self.document = {
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/end",
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
        }

    @property
    def client(self) -> dict[str, str]:
        """The settings of a server that is its client."""
        return {
            "PULLPASS_OIDC_ISSUER": self.name,
            "PULLPASS_OIDC_CLIENT_ID": CLIENT_ID,
            "PULLPASS_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "PULLPASS_OIDC_LABEL": "Acme SSO",
            "PULLPASS_ALLOW_NETWORKS": "127.0.0.0/8",
        }

    def handle(self, request: Received) -> Scripted:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/authorize":
            return self._ask(query)
        if parts.path == "/token":
            return self._redeem(request)
        if parts.path == "/userinfo":
            return self._userinfo(request)
        if parts.path == "/end":
            back = html.escape(query["post_logout_redirect_uri"])
            return _page(f'<p>You are signed out of Acme.</p><a href="{back}">Back</a>')
        return super().handle(request)

    def _ask(self, query: Mapping[str, str]) -> Scripted:
        expected = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "code_challenge_method": "S256",
        }
        wrong = [name for name, value in expected.items() if query.get(name) != value]
        if query.get("redirect_uri") not in self.redirects:
            wrong.append("redirect_uri")
        if wrong or "openid" not in query["scope"].split() or len(query["state"]) < 32:
            return _page(f"<p>The client asks wrongly: {html.escape(', '.join(wrong))}</p>", 400)
        back = query["redirect_uri"]
        code = self._new("code")
        self._codes[code] = _Asked(back, query["code_challenge"], query["nonce"])
        common = {"state": query["state"], "iss": self.name}
        links = {
            "Allow": {"code": code, **common},
            "Deny": {"error": "access_denied", "error_description": "canary", **common},
        }
        shown = [
            f'<a href="{html.escape(f"{back}?{urlencode(fields)}")}">{name}</a>'
            for name, fields in links.items()
        ]
        return _page(f"<h1>Acme SSO</h1><p>Pullpass asks who you are.</p>{' '.join(shown)}")

    def _redeem(self, request: Received) -> Scripted:
        form = dict(parse_qsl(request.body.decode()))
        pair = f"{CLIENT_ID}:{CLIENT_SECRET}".encode()
        basic = f"Basic {base64.b64encode(pair).decode()}"
        given = {
            "basic": request.headers.get("authorization") == basic,
            "post": (form.get("client_id"), form.get("client_secret"))
            == (CLIENT_ID, CLIENT_SECRET),
            "none": form.get("client_id") == CLIENT_ID and "authorization" not in request.headers,
        }
        if not given[self.auth]:
            return answer({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or (asked.redirect_uri, asked.challenge) != (
            form.get("redirect_uri"),
            challenge,
        ):
            return answer({"error": "invalid_grant"}, 400)
        self.issued.append(form["code_verifier"])
        known = {"sub": self.person["sub"]} if self.thin else dict(self.person)
        of_a_job = {"repository": None, "ref": None}
        claims: dict[str, Any] = {"aud": CLIENT_ID, "nonce": asked.nonce, **of_a_job}
        token = self.token(**{**claims, **known, **self.wrong})
        self.issued.append(token)
        return answer(
            {"access_token": self._new("access"), "token_type": "Bearer", "id_token": token}
        )

    def _userinfo(self, request: Received) -> Scripted:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.issued:
            return answer({"error": "invalid_token"}, 401)
        return answer(dict(self.person))

    def _new(self, kind: str) -> str:
        self.issued.append(f"canary-{kind}-{secrets.token_hex(16)}")
        return self.issued[-1]


@contextmanager
def a_client_of(
    provider: OpenIdProvider, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[PullpassServer]:
    """Browsers know it as localhost, and the provider as 127.0.0.1: another site."""
    port = free_port()
    public = f"http://localhost:{port}"
    provider.redirects.add(f"{public}/ui/sign-in/callback")
    settings = {**provider.client, "PULLPASS_PUBLIC_URL": public, **(env or {})}
    with pullpass_server(folder / "data", env=settings, port=port) as server:
        yield server


def _page(content: str, status: int = 200) -> Scripted:
    body = f"<!doctype html><html lang=en><title>Acme SSO</title><body>{content}"
    return Scripted(status, body.encode(), {"Content-Type": "text/html; charset=utf-8"})
