"""The synchronous driver: httpx, and nothing of the protocol but the token and the retries."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Protocol, TypeVar

import httpx

from pullpass import __version__
from pullpass.client import operations, retry
from pullpass.client.accounts import IssuedToken, Organization, Profile, TokenInfo, User
from pullpass.client.address import base_url, checked_token
from pullpass.client.errors import ClientError, ConnectionFailed, InvalidArgument
from pullpass.client.models import Check, Credentials, Matches, Registry, RegistryFields
from pullpass.client.secret import Secret
from pullpass.client.wire import Operation, Request, Response

T = TypeVar("T")


class Run(Protocol):
    def __call__(self, operation: Operation[T]) -> T: ...


class Client:
    """Talks to one Pullpass server, about one organization, with one token.

    ``timeout`` is in seconds, for each step of an exchange. ``ca_bundle`` is the path of a PEM
    file that replaces the certificate authorities; otherwise SSL_CERT_FILE holds, and the usual
    proxy variables do in any case. ``organization`` may be None where no call needs one.
    ``sleep`` is called with seconds between tries.

    Every call raises :class:`pullpass.client.errors.ClientError`, or one of its kinds. Reads are
    tried up to three times where the server cannot be reached or says that it is not ready.

    Usable as a context manager, and by several threads.
    """

    def __init__(
        self,
        url: str,
        organization: str | None,
        token: Secret | str,
        *,
        timeout: float = 30.0,
        ca_bundle: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base_url(url)
        self._organization = organization
        self._sleep = sleep
        self._http = _http_client(self._base, checked_token(token), timeout, ca_bundle)
        self.registries = Registries(self._run, self._own)
        self.users = Users(self._run, self._own)
        self.tokens = Tokens(self._run)

    def image_creds(self, image: str, *, cluster: str | None = None) -> Credentials:
        """The credential for an image; NotFound (`no_match`) where no record matches it."""
        return self._run(operations.image_creds(self._own(), image, cluster=cluster))

    def host_creds(self, host: str, *, cluster: str | None = None) -> Credentials:
        """The credential for a host; NotFound (`no_match`, or `ambiguous_host`)."""
        return self._run(operations.host_creds(self._own(), host, cluster=cluster))

    def current_user(self) -> Profile:
        return self._run(operations.current_user())

    def update_current_user(self, *, name: str | None = None, email: str | None = None) -> Profile:
        return self._run(operations.update_current_user(name=name, email=email))

    def organizations(self) -> tuple[Organization, ...]:
        return self._run(operations.list_organizations())

    def organization(self) -> Organization:
        """The client's own organization."""
        return self._run(operations.get_organization(self._own()))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _own(self) -> str:
        if not self._organization:
            raise InvalidArgument("This needs an organization, and the client was given none.")
        return self._organization

    def _run(self, operation: Operation[T]) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                return operation.read(self._send(operation.request))
            except ClientError as error:
                # Jitter needs no secrecy.
                jitter = random.random()  # noqa: S311
                delay = retry.delay(operation.request, error, tries, jitter=jitter)
                if delay is None:
                    raise
            self._sleep(delay)

    def _send(self, request: Request) -> Response:
        try:
            answer = self._http.request(
                request.method,
                self._base + request.target,
                content=request.body,
                headers=dict(request.headers),
            )
        except httpx.TimeoutException:
            raise ConnectionFailed(
                f"{self._base} did not answer in time.", timed_out=True
            ) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise ConnectionFailed(
                f"No answer from {self._base}: {str(error) or type(error).__name__}."
            ) from None
        return Response(answer.status_code, dict(answer.headers), answer.content)


class Registries:
    """The registry records of the client's organization."""

    def __init__(self, run: Run, organization: Callable[[], str]) -> None:
        self._run = run
        self._organization = organization

    def list(self) -> tuple[Registry, ...]:
        """All of them, in one answer."""
        return self._run(operations.list_registries(self._organization())).items

    def pages(self, per_page: int = 100) -> Iterator[Registry]:
        """All of them, fetched ``per_page`` (1 to 100) at a time."""
        page: str | None = None
        while True:
            operation = operations.list_registries(
                self._organization(), per_page=per_page, page=page
            )
            answer = self._run(operation)
            yield from answer.items
            page = answer.next
            if page is None:
                return

    def get(self, registry_id: str) -> Registry:
        return self._run(operations.get_registry(self._organization(), registry_id))

    def create(self, fields: RegistryFields) -> Registry:
        return self._run(operations.create_registry(self._organization(), fields))

    def update(
        self, registry_id: str, fields: RegistryFields, *, if_match: str | None = None
    ) -> Registry:
        """Change what ``fields`` holds; with ``if_match`` (an ETag), only that version."""
        return self._run(
            operations.update_registry(self._organization(), registry_id, fields, if_match=if_match)
        )

    def delete(self, registry_id: str, *, if_match: str | None = None) -> None:
        """Remove the record, its credentials and references. Cannot be undone."""
        self._run(operations.delete_registry(self._organization(), registry_id, if_match=if_match))

    def creds(self, registry_id: str, *, cluster: str | None = None) -> Credentials:
        return self._run(
            operations.registry_creds(self._organization(), registry_id, cluster=cluster)
        )

    def check(
        self, registry_id: str, *, repository: str | None = None, image: str | None = None
    ) -> Check:
        """Try the record's credential on the live registry."""
        return self._run(
            operations.check_registry(
                self._organization(), registry_id, repository=repository, image=image
            )
        )

    def match(self, images: Sequence[str]) -> Matches:
        """The record of each image, and why."""
        requests = operations.match_images(self._organization(), images)
        return Matches.joined(self._run(operation) for operation in requests)


class Users:
    """The members of the client's organization."""

    def __init__(self, run: Run, organization: Callable[[], str]) -> None:
        self._run = run
        self._organization = organization

    def list(self) -> tuple[User, ...]:
        return self._run(operations.list_users(self._organization()))

    def get(self, user_id: str) -> User:
        return self._run(operations.get_user(self._organization(), user_id))

    def create(
        self,
        name: str,
        role: str,
        *,
        type: str | None = None,  # noqa: A002 - the name on the wire
        email: str | None = None,
        cluster: str | None = None,
    ) -> User:
        return self._run(
            operations.create_user(
                self._organization(), name, role, type=type, email=email, cluster=cluster
            )
        )

    def update(self, user_id: str, role: str, *, cluster: str | None = None) -> User:
        return self._run(
            operations.update_user(self._organization(), user_id, role, cluster=cluster)
        )

    def delete(self, user_id: str) -> None:
        self._run(operations.delete_user(self._organization(), user_id))


class Tokens:
    """The API tokens of one user or another."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def list(self, user_id: str) -> tuple[TokenInfo, ...]:
        return self._run(operations.list_tokens(user_id))

    def get(self, user_id: str, token_id: str) -> TokenInfo:
        return self._run(operations.get_token(user_id, token_id))

    def create(
        self,
        user_id: str,
        token_id: str,
        *,
        description: str | None = None,
        expires_at: datetime | None = None,
    ) -> IssuedToken:
        """A new token: this is the only time that it is shown."""
        return self._run(
            operations.create_token(
                user_id, token_id, description=description, expires_at=expires_at
            )
        )

    def delete(self, user_id: str, token_id: str) -> None:
        self._run(operations.delete_token(user_id, token_id))


def _http_client(base: str, token: Secret, timeout: float, ca_bundle: str | None) -> httpx.Client:
    try:
        return httpx.Client(
            headers={
                "Authorization": f"Bearer {token.reveal()}",
                "Accept": "application/json",
                "User-Agent": f"pullpass/{__version__}",
            },
            timeout=timeout,
            # A redirect would carry the token to wherever the answer says.
            follow_redirects=False,
            verify=_trust(base, ca_bundle),
        )
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(
            f"The certificate authorities cannot be read: {error}. "
            "See SSL_CERT_FILE and the CA bundle that was given."
        ) from None
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise InvalidArgument(f"The proxy settings cannot be used: {error}") from None


def _trust(base: str, ca_bundle: str | None) -> ssl.SSLContext | bool:
    if base.startswith("http:"):
        # No handshake will be made: trust nobody, and save the 20 ms of reading authorities.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return True if ca_bundle is None else ssl.create_default_context(cafile=ca_bundle)
