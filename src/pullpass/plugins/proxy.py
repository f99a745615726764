"""Which proxy to go through, by the variables that other programs read too.

http_proxy (in lower case only, since a CGI server sets HTTP_PROXY from a request's header, see
https://httpoxy.org), https_proxy, all_proxy and no_proxy, as curl(1) describes them.
"""

from __future__ import annotations

from pullpass.plugins.settings import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Proxy:
    """``authorization`` is the header line for the proxy; empty where its address holds no
    user.
    """

    __slots__ = ("authorization", "host", "port")

    def __init__(self, host: str, port: int, authorization: str) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for a server, or None where it is asked directly.

    Raises:
        Failed: the variable names a proxy that cannot be used.
    """
    names = [f"{scheme}_proxy", "all_proxy"]
    upper = ["HTTPS_PROXY", "ALL_PROXY"] if scheme == "https" else ["ALL_PROXY"]
    name = next((name for name in (*names, *upper) if environ.get(name)), None)
    if name is None:
        return None
    if _goes_direct(host, port, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return _parsed(name, environ[name])


def _parsed(name: str, text: str) -> Proxy:
    from urllib.parse import unquote, urlsplit

    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port or 80
    except ValueError:
        host, port = None, 0
    # The address is not repeated: it may hold a password.
    if not host or url.scheme != "http":
        raise Failed(f"the proxy in {name} cannot be used; expected one like http://proxy:3128")
    authorization = ""
    if url.username is not None:
        from base64 import b64encode

        user = f"{unquote(url.username)}:{unquote(url.password or '')}"
        authorization = f"Proxy-Authorization: Basic {b64encode(user.encode()).decode()}\r\n"
    return Proxy(host, port, authorization)


def _goes_direct(host: str, port: int, no_proxy: str) -> bool:
    host = host.lower().rstrip(".")
    for entry in no_proxy.lower().replace(",", " ").split():
        if entry == "*":
            return True
        if "/" in entry:
            if _in_network(host, entry):
                return True
            continue
        name, colon, entry_port = entry.rpartition(":")
        if not colon or not entry_port.isdecimal() or (":" in name and not name.endswith("]")):
            name, entry_port = entry, ""
        name = name.strip("[]").removeprefix("*").lstrip(".")
        if entry_port and int(entry_port) != port:
            continue
        if name and (host == name or host.endswith("." + name)):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
