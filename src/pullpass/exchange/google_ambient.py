"""This server's own Google identity, as google-auth finds it. Imported when first needed.

Application Default Credentials (https://google.aip.dev/auth/4110): the file that
GOOGLE_APPLICATION_CREDENTIALS names (a key, or workload identity federation), gcloud's own file,
or the metadata server of the machine, which hands out one token until shortly before its end
(https://cloud.google.com/compute/docs/access/authenticate-workloads#applications). All of that
is the operator's, so that it does not pass the address guard.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import google.auth
import requests
from google.auth import exceptions
from google.auth.credentials import with_scopes_if_required
from google.auth.transport.requests import Request

from pullpass.domain.errors import (
    ExchangeFailed,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
)

_SECONDS = 20
_REQUEST_SECONDS = 5


async def ambient_token(scope: str) -> tuple[str, datetime]:
    """An access token with ``scope``, and when it ends by our clock.

    Raises:
        ExchangeRejected: there is no such identity, or Google refuses it.
        ExchangeThrottled, ExchangeUnavailable: as their names say.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await asyncio.to_thread(_token, scope)
    except TimeoutError:
        raise ExchangeUnavailable(
            f"Google gave this server no token for its own identity within {_SECONDS} s."
        ) from None


class _Session(requests.Session):
    """One that follows no redirect, and knows the last answer's status, date and URL."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = 0
        self.trust_env = False
        self.status = 0
        self.skew = timedelta()
        self.url = ""
        self.hooks["response"].append(self._note)

    def _note(self, response: requests.Response, *_: object, **__: object) -> None:
        self.status, self.url = response.status_code, response.url
        try:
            date = parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            self.skew = timedelta()
        else:
            self.skew = date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)


class _Request(Request):
    """google-auth waits two minutes for an answer unless told otherwise."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("timeout", _REQUEST_SECONDS)
        return super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]


def _token(scope: str) -> tuple[str, datetime]:
    with _Session() as session:
        request = _Request(session)
        try:
            # Without scopes, lest it asks for the name of the project, which nobody needs.
            found, _ = google.auth.default(request=request)
            credentials = with_scopes_if_required(found, [scope])  # type: ignore[no-untyped-call]
        except exceptions.DefaultCredentialsError:
            raise ExchangeRejected(
                "This server has no Google identity of its own: it runs on no Google Cloud "
                "machine, and GOOGLE_APPLICATION_CREDENTIALS names no usable file.",
                code="ambient_identity_missing",
            ) from None
        try:
            credentials.refresh(request)
        except exceptions.GoogleAuthError as error:
            raise _failed(session.status, error) from None
        except (ValueError, TypeError, KeyError):
            raise ExchangeUnavailable(
                "What Google answers for this server's own identity cannot be used."
            ) from None
        value, expiry = credentials.token, credentials.expiry
        if not isinstance(value, str) or not value or not isinstance(expiry, datetime):
            raise ExchangeUnavailable("Google answers without a usable token.")
        expires = expiry.replace(tzinfo=UTC)
        # google-auth reckons by our clock but where a service account is impersonated.
        if session.url.endswith(":generateAccessToken"):
            expires -= session.skew
        return value, expires


def _failed(status: int, error: exceptions.GoogleAuthError) -> ExchangeFailed:
    if status == 429:
        return ExchangeThrottled("Google is asked for this server's own identity too often (429).")
    unreached = isinstance(error, exceptions.TransportError) or isinstance(
        error.__cause__, exceptions.TransportError
    )
    if status >= 500 or unreached or error.retryable:
        return ExchangeUnavailable("Google gave this server no token for its own identity.")
    return ExchangeRejected(
        f"Google refuses this server's own identity ({status}). Check the metadata server, or the "
        "file that GOOGLE_APPLICATION_CREDENTIALS names, and what the identity may do."
    )
