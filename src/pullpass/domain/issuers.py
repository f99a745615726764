"""What can be trusted as an issuer of identity tokens, and what a rule must say about a public one.

An issuer that serves everybody signs a stranger's token as it signs yours, and the audience is the
caller's choice: only a claim that the stranger cannot have tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

_LONGEST = 500
_URL = re.compile(r"[\x21-\x7e]+")
URL_EXPECTED = "an https URL, exactly as the tokens have it in `iss`"

_EXACT = r"[^*]+"
_NUMBER = r"[0-9]+"
_PATH = r"[^*/]+/.*"

# For each issuer that serves everybody: the claims that tell its customers apart, and how a
# pattern has to begin so that it is about one of them.
_PINS: Mapping[str, Mapping[str, str]] = {
    # https://docs.github.com/actions/reference/security/oidc
    "https://token.actions.githubusercontent.com": {
        "repository": _PATH,
        "repository_owner": _EXACT,
        "repository_id": _NUMBER,
        "repository_owner_id": _NUMBER,
        "sub": r"(repo|repository):[^*/:]+/.*"
        r"|(repository_owner:[^*:]+|(repository_owner|repository|enterprise)_id:[0-9]+)(:.*)?",
    },
    # https://docs.gitlab.com/ci/secrets/id_token_authentication/
    "https://gitlab.com": {
        "project_path": _PATH,
        "namespace_path": r"[^*/]+(/.*)?",
        "project_id": _NUMBER,
        "namespace_id": _NUMBER,
        "sub": r"project_path:[^*/:]+/.*",
    },
    # https://buildkite.com/docs/pipelines/security/oidc
    "https://agent.buildkite.com": {
        "organization_slug": _EXACT,
        "organization_id": _EXACT,
        "sub": r"organization:[^*:]+:.*",
    },
    # https://developer.hashicorp.com/terraform/cloud-docs/workspaces/dynamic-provider-credentials
    "https://app.terraform.io": {
        "terraform_organization_name": _EXACT,
        "terraform_organization_id": _EXACT,
        "sub": r"organization:[^*:]+:.*",
    },
    # https://developers.google.com/identity/openid-connect/openid-connect
    "https://accounts.google.com": {"sub": _EXACT, "email": _EXACT},
}


def issuer_problem(url: str) -> str | None:
    """Why ``url`` cannot be trusted as an issuer (OpenID Connect Discovery 1.0, section 3)."""
    if len(url) > _LONGEST or _URL.fullmatch(url) is None:
        return f"is longer than {_LONGEST} characters, or holds a space or a letter beyond ASCII"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is malformed"
    if not parts.hostname or port == 0:
        return "is not a URL with a host"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "holds a user name, a query or a fragment"
    if not is_safe(url):
        return "is not https, which only an address of a private network or loopback may do without"
    return None


def is_safe(url: str) -> bool:
    """Whether keys may be fetched from ``url``: over TLS, or from an address that is written out
    and not public. (Whether the server may reach it is the address guard's business.)
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme != "http" or not host:
        return parts.scheme == "https" and bool(host)
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host.lower() == "localhost"


def missing_pin(issuer: str, claims: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """The claims of which a rule for this public issuer has to pin one, where ``claims`` pin none
    of them to one customer; None where they do, and for an issuer of one's own.
    """
    pins = _PINS.get(issuer.lower().rstrip("/"))
    if pins is None:
        return None
    for name, shape in pins.items():
        patterns = claims.get(name, ())
        if patterns and all(re.fullmatch(shape, pattern) for pattern in patterns):
            return None
    return tuple(pins)
