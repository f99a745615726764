"""One request to a Pullpass server, with as little as can be loaded.

A client of containers starts a plugin for every pull, so start-up is what counts: over plain HTTP
and a unix socket, a request loads three C modules. TLS and proxies load what they need.
"""

from __future__ import annotations

from pullpass.plugins.address import Address, parse, quoted
from pullpass.plugins.settings import Failed, Settings
from pullpass.plugins.wire import Broken, Deadline, dial, dial_unix, exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pullpass.plugins.wire import Connection

# What OpenSSL says of an answer that is no TLS; the second since its version 3.2.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
# While a server starts again, the proxy before it has an answer of its own.
_BY_PROXIES = (502, 503, 504)
_FORM = "application/x-www-form-urlencoded"


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


def get(settings: Settings, token: str, operation: str, query: Mapping[str, str]) -> Answer:
    """The answer of an operation below the organization, whatever its status is.

    All of it takes at most ``settings.timeout`` seconds (but for the machine's resolver, which has
    its own limit). Redirects are not followed, so that the token goes nowhere else; proxies are,
    as the usual variables name them.

    Raises:
        Failed: no answer, or not a whole one.
    """
    path = f"/orgs/{quoted(settings.organization)}/{operation}"
    if query:
        path += f"?{_form(query)}"
    return _ask(settings, "GET", path, f"Authorization: Bearer {token}\r\n", "")


def post_form(settings: Settings, path: str, fields: Mapping[str, str]) -> Answer:
    """The answer to a form that is sent without a token, to a path below the server's address.

    Raises:
        Failed: no answer, or not a whole one.
    """
    body = _form(fields)
    headers = f"Content-Type: {_FORM}\r\nContent-Length: {len(body)}\r\n"
    return _ask(settings, "POST", path, headers, body)


def require_success(answer: Answer, settings: Settings) -> None:
    """
    Raises:
        Failed: the server refused; says what it said, and what to do.
    """
    if answer.status == 200:
        return
    sentence = answer.text("error")
    if not sentence and answer.status not in (401, 403, 429, *_BY_PROXIES):
        raise Failed(
            f"the server answered {answer.status}, and not as Pullpass does; "
            f"check {settings.url_from}"
        )
    advice = {
        401: f"check {settings.token_from}",
        404: f"check {settings.organization_from}",
        429: "try again later",
        503: "try again later",
        504: "try again later",
    }.get(answer.status)
    if not sentence and answer.status in _BY_PROXIES:
        sentence = f"the server, or a proxy before it, answered {answer.status}"
        advice = "try again later"
    said = sentence.rstrip(".") or f"the server answered {answer.status}"
    raise Failed(f"{said}; {advice}" if advice else said)


def _form(fields: Mapping[str, str]) -> str:
    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in fields.items())


def _ask(settings: Settings, method: str, path: str, headers: str, body: str) -> Answer:
    address = parse(settings.base, settings.url_from)
    try:
        status, content = _answered(settings, address, method, path, headers, body)
    except TimeoutError:
        raise Failed(
            f"{settings.base} did not answer within {settings.timeout:g} s; try again later"
        ) from None
    except Broken as error:
        raise Failed(
            f"{settings.base} broke off or does not speak HTTP ({error}); check {settings.url_from}"
        ) from None
    except OSError as error:
        raise Failed(
            f"{settings.base} cannot be reached ({error}); {_hint(error, settings)}"
        ) from None
    except UnicodeError:
        raise Failed(f"{settings.url_from} is not a valid address; check it") from None
    if 300 <= status < 400:
        raise Failed(
            f"{settings.base} answers with a redirect ({status}), which is not followed with a "
            f"token; set {settings.url_from} to the address of the server itself"
        )
    from pullpass.plugins.quickjson import loads

    return Answer(status, loads(content))


def _hint(error: OSError, settings: Settings) -> str:
    kind = type(error).__name__
    if getattr(error, "reason", None) in _NO_TLS:
        return f"it does not speak TLS: is {settings.url_from} to begin with http:// instead?"
    if kind == "SSLCertVerificationError":
        return "if its authority is your own, name it in PULLPASS_CA_BUNDLE or SSL_CERT_FILE"
    if kind == "gaierror":
        return f"check the name in {settings.url_from}, and this machine's DNS"
    return f"check {settings.url_from} and that the server is running"


def _answered(
    settings: Settings, address: Address, method: str, path: str, headers: str, body: str
) -> tuple[int, bytes]:
    from pullpass import __version__

    deadline = Deadline(settings.timeout)
    connection, target, more = _connected(settings, address, address.path + path, deadline)
    authority = address.authority
    if not authority.isascii():
        authority = authority.encode("idna").decode()
    request = (
        f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{headers}{more}"
        f"Accept: application/json\r\nUser-Agent: pullpass-plugin/{__version__}\r\n"
        f"Connection: close\r\n\r\n{body}"
    )
    try:
        return exchange(connection, request.encode("ascii"), deadline)
    finally:
        connection.close()


def _connected(
    settings: Settings, address: Address, target: str, deadline: Deadline
) -> tuple[Connection, str, str]:
    """A connection to the server or its proxy, the target to ask it for, and headers for it."""
    if address.socket:
        return dial_unix(address.socket, deadline), target, ""
    proxy = None
    if any(name.lower().endswith("_proxy") for name in settings.environ):
        from pullpass.plugins.proxy import proxy_for

        proxy = proxy_for(address.scheme, address.host, address.port, settings.environ)
    if address.scheme == "https":
        from pullpass.plugins.tls import secured

        connection = secured(settings, address, proxy, deadline)
        return connection, target, ""
    if proxy is None:
        return dial(address.host, address.port, deadline), target, ""
    return (
        dial(proxy.host, proxy.port, deadline),
        f"http://{address.authority}{target}",
        proxy.authorization,
    )
