"""Every operation of the API as a value: the request to send and the reader of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pullpass.client import timestamp, wire
from pullpass.client.accounts import IssuedToken, Organization, Profile, TokenInfo, User
from pullpass.client.fields import Fields, decode, each
from pullpass.client.models import (
    Check,
    Credentials,
    Matches,
    Page,
    Registry,
    RegistryFields,
)
from pullpass.client.paging import next_page
from pullpass.client.secret import Secret
from pullpass.client.wire import Operation, Response, path

MOST_IMAGES = 10_000


def list_registries(
    organization: str, *, per_page: int | None = None, page: str | None = None
) -> Operation[Page[Registry]]:
    """All records; or a page of ``per_page`` (1 to 100), the one that ``page`` names."""
    return wire.get(
        _registries(organization),
        {"per_page": None if per_page is None else str(per_page), "page": page},
        lambda response: Page(
            each(decode(response.body), Registry.read), next_page(response.headers.get("link", ""))
        ),
    )


def get_registry(organization: str, registry_id: str) -> Operation[Registry]:
    return wire.get(_registries(organization, registry_id), {}, _registry)


def create_registry(organization: str, fields: RegistryFields) -> Operation[Registry]:
    return wire.send("POST", _registries(organization), _plain(fields), _registry)


def update_registry(
    organization: str, registry_id: str, fields: RegistryFields, *, if_match: str | None = None
) -> Operation[Registry]:
    """``if_match``: an ETag; a record that has changed since is left as it is (412)."""
    return wire.send(
        "PATCH",
        _registries(organization, registry_id),
        _plain(fields),
        _registry,
        headers=_if_match(if_match),
    )


def delete_registry(
    organization: str, registry_id: str, *, if_match: str | None = None
) -> Operation[None]:
    return wire.delete(_registries(organization, registry_id), headers=_if_match(if_match))


def registry_creds(
    organization: str, registry_id: str, *, cluster: str | None = None
) -> Operation[Credentials]:
    """``cluster`` narrows ``secrets`` to the entry that holds for it."""
    target = _registries(organization, registry_id, "creds")
    return wire.get(target, {"cluster": cluster}, wire.one(Credentials.read))


def check_registry(
    organization: str,
    registry_id: str,
    *,
    repository: str | None = None,
    image: str | None = None,
) -> Operation[Check]:
    """Try the credential on the live registry; with ``repository`` (the path of one) or
    ``image`` (whole, as a record with a `*` needs it), also to pull from there.
    """
    given = {"repository": repository, "image": image}
    body = {name: value for name, value in given.items() if value is not None}
    target = _registries(organization, registry_id, "actions", "check")
    return wire.send("POST", target, body, wire.one(Check.read))


def match_images(organization: str, images: Sequence[str]) -> list[Operation[Matches]]:
    """One operation for every 10,000 images; join their answers by ``Matches.joined``."""
    return [
        wire.send(
            "POST",
            _registries(organization, "actions", "match"),
            {"images": list(images[start : start + MOST_IMAGES])},
            wire.one(Matches.read),
            repeatable=True,
        )
        for start in range(0, len(images), MOST_IMAGES)
    ]


def image_creds(
    organization: str, image: str, *, cluster: str | None = None
) -> Operation[Credentials]:
    target = path("orgs", organization, "image-creds")
    return wire.get(target, {"image": image, "cluster": cluster}, wire.one(Credentials.read))


def host_creds(
    organization: str, host: str, *, cluster: str | None = None
) -> Operation[Credentials]:
    target = path("orgs", organization, "host-creds")
    return wire.get(target, {"host": host, "cluster": cluster}, wire.one(Credentials.read))


def current_user() -> Operation[Profile]:
    return wire.get(path("current-user"), {}, wire.one(Profile.read))


def update_current_user(*, name: str | None = None, email: str | None = None) -> Operation[Profile]:
    given = {"name": name, "email": email}
    body = {key: value for key, value in given.items() if value is not None}
    return wire.send("PATCH", path("current-user"), body, wire.one(Profile.read))


def list_organizations() -> Operation[tuple[Organization, ...]]:
    return wire.get(path("orgs"), {}, lambda answer: each(decode(answer.body), Organization.read))


def get_organization(organization: str) -> Operation[Organization]:
    return wire.get(path("orgs", organization), {}, wire.one(Organization.read))


def list_users(organization: str) -> Operation[tuple[User, ...]]:
    target = path("orgs", organization, "users")
    return wire.get(target, {}, lambda answer: each(decode(answer.body), User.read))


def get_user(organization: str, user_id: str) -> Operation[User]:
    return wire.get(path("orgs", organization, "users", user_id), {}, wire.one(User.read))


def create_user(
    organization: str,
    name: str,
    role: str,
    *,
    type: str | None = None,  # noqa: A002 - the name on the wire
    email: str | None = None,
    cluster: str | None = None,
) -> Operation[User]:
    """A service user, unless ``type`` is `user`; the role `cluster` needs ``cluster``."""
    optional = {"type": type, "email": email, "cluster": cluster}
    body = {"name": name, "role": role} | {
        key: value for key, value in optional.items() if value is not None
    }
    return wire.send("POST", path("orgs", organization, "users"), body, wire.one(User.read))


def update_user(
    organization: str, user_id: str, role: str, *, cluster: str | None = None
) -> Operation[User]:
    body = {"role": role} if cluster is None else {"role": role, "cluster": cluster}
    target = path("orgs", organization, "users", user_id)
    return wire.send("PATCH", target, body, wire.one(User.read))


def delete_user(organization: str, user_id: str) -> Operation[None]:
    return wire.delete(path("orgs", organization, "users", user_id))


def list_tokens(user_id: str) -> Operation[tuple[TokenInfo, ...]]:
    target = path("users", user_id, "tokens")
    return wire.get(target, {}, lambda answer: each(decode(answer.body), TokenInfo.read))


def get_token(user_id: str, token_id: str) -> Operation[TokenInfo]:
    return wire.get(path("users", user_id, "tokens", token_id), {}, wire.one(TokenInfo.read))


def create_token(
    user_id: str,
    token_id: str,
    *,
    description: str | None = None,
    expires_at: datetime | None = None,
) -> Operation[IssuedToken]:
    """``expires_at`` is an aware time; without one the token does not expire."""
    body: dict[str, str] = {"id": token_id, "type": "static"}
    if description is not None:
        body["description"] = description
    if expires_at is not None:
        body["expires_at"] = timestamp.render(expires_at)
    return wire.send("POST", path("users", user_id, "tokens"), body, wire.one(IssuedToken.read))


def delete_token(user_id: str, token_id: str) -> Operation[None]:
    return wire.delete(path("users", user_id, "tokens", token_id))


def _registries(organization: str, *rest: str) -> str:
    return path("orgs", organization, "registries", *rest)


def _registry(response: Response) -> Registry:
    return Registry.read(Fields(decode(response.body)), response.headers.get("etag"))


def _if_match(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"If-Match": etag}


def _plain(value: object) -> object:
    """The value as JSON has it: secrets shown, times in words."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Secret):
        return value.reveal()
    return timestamp.render(value) if isinstance(value, datetime) else value
