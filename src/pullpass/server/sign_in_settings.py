"""The settings of the provider that people sign in with: `oidc_…`, and `public_url`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pullpass.domain.credential import Secret
from pullpass.domain.identity import ORGANIZATION_ID, ORGANIZATION_ID_LENGTH, Role
from pullpass.domain.issuers import URL_EXPECTED, is_safe, issuer_problem
from pullpass.domain.sign_in import GROUP_ROLES, GroupRole, SignInProvider

DEFAULTS: Mapping[str, str] = {
    "oidc_label": "single sign-on",
    "oidc_scopes": "openid profile email",
    "oidc_email_claim": "email",
    "oidc_email_trusted": "off",
    "oidc_groups_claim": "groups",
}
OPTIONAL = ("public_url", "oidc_issuer", "oidc_client_id", "oidc_client_secret_file", "oidc_roles")
CLIENT_SECRET = "PULLPASS_OIDC_CLIENT_SECRET"  # noqa: S105
_LABEL = re.compile(r"[^\x00-\x1f\x7f<>]{1,50}")
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_ROLES_EXPECTED = "entries like acme:admin=platform-team, a role of " + ", ".join(GROUP_ROLES)


def problems(name: str, source: str, value: str) -> list[str]:
    """What is wrong with the setting ``name``, which came from ``source``."""
    if name == "public_url" and (problem := _public_url_problem(value)):
        return [
            f"{source} {problem}; expected where browsers reach this server, like "
            "https://pullpass.example.com."
        ]
    if name == "oidc_issuer" and (problem := issuer_problem(value)):
        return [f"{source} {problem}; expected {URL_EXPECTED}."]
    if name == "oidc_label" and not _LABEL.fullmatch(value):
        return [f"{source} is longer than 50 characters, or holds <, > or what does not print."]
    if name == "oidc_scopes" and (not _SCOPES.fullmatch(value) or "openid" not in value.split()):
        return [
            f"{source} is {value[:80]!a}; expected scopes with spaces between them, and openid."
        ]
    if name == "oidc_roles":
        try:
            _group_roles(value)
        except ValueError as error:
            return [f"{source}: {str(error)[:80]!a} is none; expected {_ROLES_EXPECTED}."]
    return []


def provider(
    values: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[SignInProvider | None, list[str]]:
    """The provider, or None where none is set up; and what is missing, or cannot be read."""
    if "oidc_issuer" not in values:
        given = sorted(values.keys() & set(OPTIONAL) - {"public_url"})
        return None, [f"{', '.join(given)} is given without oidc_issuer."] if given else []
    missing = [name for name in ("oidc_client_id", "public_url") if name not in values]
    if missing:
        return None, [f"oidc_issuer is given without {' and '.join(missing)}."]
    secret, problem = _client_secret(values, environment)
    found = SignInProvider(
        issuer=values["oidc_issuer"],
        client_id=values["oidc_client_id"],
        public_url=values["public_url"].rstrip("/"),
        client_secret=secret,
        label=values["oidc_label"],
        scopes=values["oidc_scopes"],
        email_claim=values["oidc_email_claim"],
        email_trusted=values["oidc_email_trusted"] == "on",
        groups_claim=values["oidc_groups_claim"],
        group_roles=_group_roles(values.get("oidc_roles", "")),
    )
    return found, [problem] if problem else []


def _client_secret(
    values: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Secret | None, str | None]:
    if given := environment.get(CLIENT_SECRET):
        return Secret(given), None
    if "oidc_client_secret_file" not in values:
        return None, None
    path = Path(values["oidc_client_secret_file"])
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None, f"The file of oidc_client_secret_file, {path}, cannot be read."
    return (Secret(text), None) if text else (None, f"The file {path} is empty.")


def _public_url_problem(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return "is malformed"
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        return "is no URL"
    if parts.path not in ("", "/") or "?" in value or "#" in value or "@" in parts.netloc:
        return "has more than a host and a port"
    if not is_safe(value):
        return "is not https, which only localhost and private addresses may do without"
    return None


def _group_roles(text: str) -> tuple[GroupRole, ...]:
    """Raises ValueError with the entry that is none."""
    return tuple(_group_role(entry.strip()) for entry in text.split(",") if entry.strip())


def _group_role(entry: str) -> GroupRole:
    where, equals, group = entry.partition("=")
    organization, _, role = where.strip().partition(":")
    known = len(organization) <= ORGANIZATION_ID_LENGTH and ORGANIZATION_ID.fullmatch(organization)
    if not known or role not in GROUP_ROLES or not equals or not group.strip():
        raise ValueError(entry)
    return GroupRole(organization, Role(role), group.strip())
