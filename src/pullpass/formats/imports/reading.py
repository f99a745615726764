"""What a Docker config holds: credentials worth a record, and what is skipped, with the reason.

The file is that of docker (`config.json`, and the older `.dockercfg` without `auths`), of podman
(`auth.json`) and of Kubernetes pull secrets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pullpass.domain.credential import Secret
from pullpass.domain.errors import InvalidRegistryPrefix
from pullpass.domain.image import DOCKER_HUB, excerpt
from pullpass.domain.prefix import RegistryPrefix
from pullpass.domain.registry_hosts import (
    AMAZON_ECR,
    AZURE,
    GOOGLE,
    HostPattern,
    recognize,
)

_GOOGLE_KEY = ("_json_key", "_json_key_base64")
# User names under which registries take tokens that end within hours, at which hosts (none: any),
# and what to store instead.
_SHORT_LIVED: tuple[tuple[str, tuple[HostPattern, ...], str], ...] = (
    (
        "AWS",
        AMAZON_ECR,
        "a token of Amazon ECR, which ends after 12 hours: make a record of the type amazon_ecr",
    ),
    (
        "oauth2accesstoken",
        GOOGLE,
        "an access token of Google, which ends after an hour: make a record of the type google_gcr",
    ),
    (
        "00000000-0000-0000-0000-000000000000",
        AZURE,
        "a refresh token of Azure, which ends after hours: make a record of the type azure_acr",
    ),
    (
        "gitlab-ci-token",
        (),
        "the token of one GitLab job, which ends with it: use a deploy token",
    ),
)
# https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
_GITHUB_APP_TOKEN = "ghs_"  # noqa: S105
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}


class NotADockerConfig(Exception):
    """Not JSON, or of another shape; the message says which, and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A credential worth a record of this ``type``, for a normalized ``registry``."""

    registry: str
    type: str
    username: str
    password: Secret
    expires: datetime | None
    source: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that makes no record; ``key`` is as it stood there."""

    key: str
    source: str
    why: str


class _Unusable(Exception):
    """Why an entry is skipped."""


def read_docker_config(content: bytes, source: str, now: datetime) -> list[Found | Skipped]:
    """Everything in a Docker config. ``source`` is for people; ``now`` an aware time.

    Raises:
        NotADockerConfig: nothing can be read from it.
    """
    config = _config(content)
    auths = _object(config, "auths")
    helpers = _object(config, "credHelpers")
    entries: list[Found | Skipped] = []
    for key, value in auths.items():
        try:
            entries.append(_found(key, value, source, now))
        except _Unusable as error:
            entries.append(Skipped(excerpt(key)[1:-1], source, str(error)))
    for key, helper in helpers.items():
        why = f"the credential helper {str(helper)!a} keeps it"
        entries.append(Skipped(excerpt(key)[1:-1], source, why))
    store = config.get("credsStore")
    if isinstance(store, str) and store:
        why = f"the credential helper {store!a} keeps what is not in the file"
        entries.append(Skipped("(any)", source, why))
    return entries


def _config(content: bytes) -> Mapping[str, object]:
    try:
        config: object = json.loads(content)
    except json.JSONDecodeError as error:
        raise NotADockerConfig(
            f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise NotADockerConfig("it is not JSON") from None
    if not isinstance(config, dict):
        kind = _KINDS.get(type(config), "a number or null")
        raise NotADockerConfig(f'it is {kind}; expected an object with "auths"')
    if "auths" in config or "credHelpers" in config or "credsStore" in config or not config:
        return config
    if all(isinstance(value, dict) and "auth" in value for value in config.values()):
        return {"auths": config}
    raise NotADockerConfig('it has no "auths"; expected {"auths": {"HOST": {"auth": …}}}')


def _object(config: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "a number")
        raise NotADockerConfig(f'"{name}" is {kind}; expected an object')
    return value


def _found(key: str, value: object, source: str, now: datetime) -> Found:
    try:
        prefix = RegistryPrefix.parse(key)
    except InvalidRegistryPrefix as error:
        raise _Unusable(f"the key {error.problem}") from None
    if prefix.domain == DOCKER_HUB and prefix.path[:1] == ("v1",):
        raise _Unusable("a token of one login to Docker Hub: use an access token")
    username, password = _login(value)
    for name, hosts, why in _SHORT_LIVED:
        if username == name and (not hosts or recognize(hosts, prefix.domain)):
            raise _Unusable(why)
    if password.startswith(_GITHUB_APP_TOKEN):
        raise _Unusable(
            "a token of a GitHub app or job, which ends within hours: use a personal access token"
        )
    expires = _expiry(password)
    if expires is not None and expires <= now:
        raise _Unusable(f"it ended at {expires:%Y-%m-%d %H:%M:%S} UTC")
    is_google = username in _GOOGLE_KEY and recognize(GOOGLE, prefix.domain) is not None
    record_type = "google_gcr" if is_google else "basic"
    return Found(str(prefix), record_type, username, Secret(password), expires, source)


def _login(value: object) -> tuple[str, str]:
    """User name and password as docker reads them (``decodeAuth`` in github.com/docker/cli)."""
    fields = value if isinstance(value, dict) else {}
    auth = fields.get("auth")
    username, password = fields.get("username"), fields.get("password")
    if fields.get("identitytoken") or fields.get("registrytoken"):
        raise _Unusable("an identity token of one login, which no record can hold")
    if auth:
        try:
            pair = base64.b64decode(str(auth), validate=True).decode()
        except ValueError:
            pair = ""
        username, colon, password = pair.partition(":")
        password = password.rstrip("\0")
        if not colon:
            raise _Unusable('its "auth" is not the Base64 of USER:PASSWORD')
    elif not username:
        raise _Unusable("it has no credential (a credential helper may keep it)")
    if not (isinstance(username, str) and isinstance(password, str) and username and password):
        raise _Unusable("its user name or password is empty")
    return username, password


def _expiry(password: str) -> datetime | None:
    """When the token ends, where it is a JWT that says so (RFC 7519 section 4.1.4)."""
    parts = password.split(".")
    if len(parts) != 3 or not password.startswith("eyJ"):
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None
