"""One GET to a Pullpass server with the standard library.

A client of containers starts a plugin for every pull, so start-up is what counts: http.client is
imported when a request is made (it is 13 of the 28 ms that one takes to start), and neither
urllib.request, typing nor dataclasses at all.
"""

from __future__ import annotations

from pullpass.plugins.settings import Failed, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPConnection
    from urllib.parse import SplitResult

_LONGEST_ANSWER = 16 * 1024 * 1024


class Answer:
    """``fields`` is the JSON of the body, None where it holds none."""

    __slots__ = ("fields", "status")

    def __init__(self, status: int, fields: object) -> None:
        self.status = status
        self.fields = fields

    def text(self, name: str) -> str:
        """A field of the body, empty where it is not there or is no string."""
        value = self.fields.get(name) if isinstance(self.fields, dict) else None
        return value if isinstance(value, str) else ""


def get(settings: Settings, operation: str, query: Mapping[str, str]) -> Answer:
    """The answer of an operation below the organization, whatever its status is.

    All of it takes at most ``settings.timeout`` seconds. Redirects are not followed, so that
    the token goes nowhere else; proxies are, as the usual variables name them.

    Raises:
        Failed: no answer, or not a whole one.
    """
    import signal
    from http.client import HTTPException
    from urllib.parse import quote, urlencode

    url = _url(settings.base)
    target = f"{url.path}/orgs/{quote(settings.organization, safe='')}/{operation}"
    if query:
        target += "?" + urlencode(query)
    # Time-outs of sockets are for one step each; a server that drips would hold a pull for ever.
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    try:
        return _exchange(settings, url, target)
    except TimeoutError:
        raise Failed(
            f"{settings.base} did not answer within {settings.timeout:g} s; try again later"
        ) from None
    except HTTPException as error:
        # Its text may hold what the server sent; the kind says enough.
        raise Failed(
            f"{settings.base} broke off or does not speak HTTP ({type(error).__name__}); "
            "check PULLPASS_URL"
        ) from None
    except OSError as error:
        hint = "check PULLPASS_URL and that the server is running"
        if type(error).__name__ == "SSLCertVerificationError":
            hint = "if its authority is your own, name it in PULLPASS_CA_BUNDLE or SSL_CERT_FILE"
        raise Failed(f"{settings.base} cannot be reached ({error}); {hint}") from None
    except UnicodeError:
        raise Failed("PULLPASS_URL is not a valid address; check it") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _exchange(settings: Settings, url: SplitResult, target: str) -> Answer:
    from pullpass import __version__

    headers = {
        "Authorization": f"Bearer {settings.token()}",
        "Accept": "application/json",
        "User-Agent": f"docker-credential-pullpass/{__version__}",
        "Connection": "close",
    }
    connection, target = _connection(settings, url, target, headers)
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        body = response.read(_LONGEST_ANSWER + 1)
        if response.length or len(body) > _LONGEST_ANSWER:
            raise Failed(f"the answer of {settings.base} broke off or is too long; try again")
        if 300 <= response.status < 400:
            raise Failed(
                f"{settings.base} answers with a redirect ({response.status}), which is not "
                "followed with a token; set PULLPASS_URL to the address of the server itself"
            )
        return Answer(response.status, _json(body))
    finally:
        connection.close()


def _connection(
    settings: Settings, url: SplitResult, target: str, headers: dict[str, str]
) -> tuple[HTTPConnection, str]:
    """A connection (not yet made) to the server or its proxy, and the target to ask it for."""
    import os
    from http.client import HTTPConnection, HTTPSConnection

    from pullpass.plugins.proxy import proxy_for

    secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if secure else 80)
    proxy = proxy_for(url.scheme, host, port, os.environ)
    connect_to = (proxy.host, proxy.port) if proxy else (host, port)
    if not secure:
        if proxy:
            headers.update(proxy.headers)
            target = f"http://{url.netloc}{target}"
        return HTTPConnection(*connect_to, timeout=settings.timeout), target
    import ssl

    try:
        # Without a file of our own, OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR.
        context = ssl.create_default_context(cafile=settings.ca_bundle)
    except OSError as error:
        raise Failed(
            f"PULLPASS_CA_BUNDLE cannot be read ({error.strerror}); "
            "expected a file of PEM certificates"
        ) from None
    connection = HTTPSConnection(*connect_to, timeout=settings.timeout, context=context)
    if proxy:
        connection.set_tunnel(host, port, headers=proxy.headers)
    return connection, target


def _url(base: str) -> SplitResult:
    from urllib.parse import urlsplit

    expected = "expected an address like https://pullpass.example.com"
    try:
        url = urlsplit(base)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        usable = None
    # Not repeated: it may hold a password.
    if not usable or "@" in url.netloc or url.query or url.fragment:
        raise Failed(f"PULLPASS_URL cannot be used; {expected}")
    return url


def _json(body: bytes) -> object:
    import json

    try:
        fields: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return fields


def _out_of_time(signum: int, frame: object) -> None:
    raise TimeoutError
