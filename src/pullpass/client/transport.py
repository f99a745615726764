"""What both drivers ask of httpx: its settings, its answers as ours, its errors as ours."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import httpx

from pullpass import __version__
from pullpass.client.errors import ConnectionFailed, InvalidArgument
from pullpass.client.secret import Secret
from pullpass.client.wire import Response

# What OpenSSL says of an answer that is no TLS; the second since its version 3.2.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
# Nobody who is trusted has signed it (https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/).
# Another name, or a certificate that is over, is no matter of the authority.
_NO_ISSUER = (18, 19, 20, 21)
FAULTS = (httpx.RequestError, httpx.InvalidURL)


class Options(TypedDict):
    """Arguments of both ``httpx.Client`` and ``httpx.AsyncClient``."""

    headers: dict[str, str]
    timeout: float
    follow_redirects: bool
    verify: ssl.SSLContext | bool


@contextmanager
def options(
    base: str, token: Secret | None, timeout: float, ca_bundle: str | None
) -> Iterator[Options]:
    """The arguments of an HTTP client, which is to be made within the block.

    Raises:
        InvalidArgument: the authorities, or the proxy settings of the environment, are no good.
    """
    try:
        yield Options(
            headers={
                **({} if token is None else {"Authorization": f"Bearer {token.reveal()}"}),
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


def response(answer: httpx.Response) -> Response:
    return Response(answer.status_code, dict(answer.headers), answer.content)


def failure(base: str, error: Exception) -> ConnectionFailed:
    """The error that stands for one of ``FAULTS``."""
    if isinstance(error, httpx.TimeoutException):
        return ConnectionFailed(f"{base} did not answer in time.", timed_out=True)
    return ConnectionFailed(
        f"No answer from {base}: {_reason(base, error)}.",
        unsent=isinstance(error, httpx.ConnectError),
    )


def _reason(base: str, error: Exception) -> str:
    """The operating system's word, which stands below what the asynchronous side says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        # Errors of TLS and of name resolution have numbers of their own, and say what they are.
        if isinstance(cause, ConnectionError) and cause.errno:
            return f"[Errno {cause.errno}] {os.strerror(cause.errno)}"
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _NO_ISSUER:
            return (
                f"its certificate is not trusted ({cause.verify_message}); where its authority is "
                "your own, give that as the CA bundle, or in SSL_CERT_FILE"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
            return "it does not speak TLS, so its address may have to begin with http://"
        cause = cause.__cause__ or cause.__context__
    # A server that goes away says nothing; one that speaks TLS refuses in that.
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        other = ", so its address may have to begin with https://"
        return f"it does not speak HTTP{other if base.startswith('http:') else ''}"
    return str(error) or type(error).__name__


def _trust(base: str, ca_bundle: str | None) -> ssl.SSLContext | bool:
    if base.startswith("http:"):
        # No handshake will be made: trust nobody, and save the 20 ms of reading authorities.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return True if ca_bundle is None else ssl.create_default_context(cafile=ca_bundle)
