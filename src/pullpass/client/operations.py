"""Every operation of the API as a value: the request to send and the reader of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pullpass.client import timestamp, wire
from pullpass.client.accounts import IssuedToken, Organization, Profile, TokenInfo, User
from pullpass.client.audit import AuditEntry
from pullpass.client.fields import Fields, decode, each
from pullpass.client.models import (
    Check,
    Credentials,
    Matches,
    Registry,
    RegistryFields,
)
from pullpass.client.paging import next_page
from pullpass.client.wire import Operation, Page, Response, path

MOST_IMAGES = 10_000


def list_registries(organization: str) -> Operation[tuple[Registry, ...]]:
    """All records, in one answer."""
    return wire.get(_registries(organization), {}, _each_registry)


def page_registries(organization: str, per_page: int = 100) -> Operation[Page[Registry]]:
    """All records, fetched ``per_page`` (1 to 100) at a time."""
    return _page(organization, per_page, None)


def get_registry(organization: str, registry_id: str) -> Operation[Registry]:
    """One record; its ``etag`` names the version."""
    return wire.get(_registries(organization, registry_id), {}, _registry)


def create_registry(organization: str, fields: RegistryFields) -> Operation[Registry]:
    """A new record, from `id`, `registry`, `type` and what the type needs."""
    return wire.send("POST", _registries(organization), fields, _registry)


def update_registry(
    organization: str, registry_id: str, fields: RegistryFields, *, if_match: str | None = None
) -> Operation[Registry]:
    """Change what ``fields`` holds: what is absent stays, None clears.

    ``if_match``: an ETag; a record that has changed since is left as it is (PreconditionFailed).
    """
    return wire.send(
        "PATCH",
        _registries(organization, registry_id),
        fields,
        _registry,
        headers=_if_match(if_match),
    )


def delete_registry(
    organization: str, registry_id: str, *, if_match: str | None = None
) -> Operation[None]:
    """Remove the record, its credentials and references. Cannot be undone."""
    return wire.delete(_registries(organization, registry_id), headers=_if_match(if_match))


def registry_creds(
    organization: str, registry_id: str, *, cluster: str | None = None
) -> Operation[Credentials]:
    """The credential of one record; ``cluster`` narrows ``secrets`` to the entry for it."""
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
    target = _registries(organization, registry_id, "actions", "check")
    body = _given(repository=repository, image=image)
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
    """The credential for an image; NotFound (`no_match`) where no record matches it."""
    target = path("orgs", organization, "image-creds")
    return wire.get(target, {"image": image, "cluster": cluster}, wire.one(Credentials.read))


def host_creds(
    organization: str, host: str, *, cluster: str | None = None
) -> Operation[Credentials]:
    """The credential for a host; NotFound (`no_match`, or `ambiguous_host`)."""
    target = path("orgs", organization, "host-creds")
    return wire.get(target, {"host": host, "cluster": cluster}, wire.one(Credentials.read))


def current_user() -> Operation[Profile]:
    """The user whose token this is, with its roles."""
    return wire.get(path("current-user"), {}, wire.one(Profile.read))


def update_current_user(*, name: str | None = None, email: str | None = None) -> Operation[Profile]:
    """Change the name or the e-mail address of the user whose token this is."""
    body = _given(name=name, email=email)
    return wire.send("PATCH", path("current-user"), body, wire.one(Profile.read))


def list_organizations() -> Operation[tuple[Organization, ...]]:
    """The organizations that the user is a member of."""
    return wire.get(path("orgs"), {}, lambda answer: each(decode(answer.body), Organization.read))


def get_organization(organization: str) -> Operation[Organization]:
    """The client's own organization."""
    return wire.get(path("orgs", organization), {}, wire.one(Organization.read))


def list_users(organization: str) -> Operation[tuple[User, ...]]:
    """The members of the organization."""
    target = path("orgs", organization, "users")
    return wire.get(target, {}, lambda answer: each(decode(answer.body), User.read))


def get_user(organization: str, user_id: str) -> Operation[User]:
    """One member, with its role."""
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
    body = _given(name=name, role=role, type=type, email=email, cluster=cluster)
    return wire.send("POST", path("orgs", organization, "users"), body, wire.one(User.read))


def update_user(
    organization: str, user_id: str, role: str, *, cluster: str | None = None
) -> Operation[User]:
    """Give a member another role; the role `cluster` needs ``cluster``."""
    body = _given(role=role, cluster=cluster)
    target = path("orgs", organization, "users", user_id)
    return wire.send("PATCH", target, body, wire.one(User.read))


def delete_user(organization: str, user_id: str) -> Operation[None]:
    """Remove a user from the organization; one that is in no other is deleted."""
    return wire.delete(path("orgs", organization, "users", user_id))


def list_tokens(user_id: str) -> Operation[tuple[TokenInfo, ...]]:
    """The tokens of a user, without their values."""
    target = path("users", user_id, "tokens")
    return wire.get(target, {}, lambda answer: each(decode(answer.body), TokenInfo.read))


def get_token(user_id: str, token_id: str) -> Operation[TokenInfo]:
    """One token, without its value."""
    return wire.get(path("users", user_id, "tokens", token_id), {}, wire.one(TokenInfo.read))


def create_token(
    user_id: str,
    token_id: str,
    *,
    description: str | None = None,
    expires_at: datetime | None = None,
) -> Operation[IssuedToken]:
    """A new token: this is the only time that it is shown.

    ``expires_at`` is an aware time; without one the token does not expire.
    """
    body = _given(id=token_id, type="static", description=description, expires_at=expires_at)
    return wire.send("POST", path("users", user_id, "tokens"), body, wire.one(IssuedToken.read))


def delete_token(user_id: str, token_id: str) -> Operation[None]:
    """Revoke a token: every replica refuses it within a second."""
    return wire.delete(path("users", user_id, "tokens", token_id))


def list_audit_entries(
    organization: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    user_id: str | None = None,
    registry_id: str | None = None,
    action: str | None = None,
    result: str | None = None,
    per_page: int = 100,
) -> Operation[Page[AuditEntry]]:
    """The audit log, newest first, fetched ``per_page`` (1 to 1000) at a time; what is not None
    narrows it. ``result`` is `ok` or `refused`; times are aware.
    """
    query = {
        "from": None if since is None else timestamp.render(since),
        "to": None if until is None else timestamp.render(until),
        "user_id": user_id,
        "registry_id": registry_id,
        "action": action,
        "result": result,
        "per_page": str(per_page),
    }
    return _audit_page(organization, query, None)


def export_audit_entries(
    organization: str, *, after: int = 0, per_page: int = 1000
) -> Operation[Page[AuditEntry]]:
    """The audit log in the order of its chain, from the entry behind number ``after`` on."""

    def read(response: Response) -> Page[AuditEntry]:
        found = each(decode(response.body), AuditEntry.read)
        if len(found) < per_page:
            return Page(found)
        following = export_audit_entries(organization, after=found[-1].sequence, per_page=per_page)
        return Page(found, following)

    query = {"after": str(after), "per_page": str(per_page)}
    return wire.get(path("orgs", organization, "audit-logs"), query, read)


def _audit_page(
    organization: str, query: Mapping[str, str | None], page: str | None
) -> Operation[Page[AuditEntry]]:
    def read(response: Response) -> Page[AuditEntry]:
        after = next_page(response.headers.get("link", ""))
        following = None if after is None else _audit_page(organization, query, after)
        return Page(each(decode(response.body), AuditEntry.read), following)

    return wire.get(path("orgs", organization, "audit-logs"), {**query, "page": page}, read)


def _registries(organization: str, *rest: str) -> str:
    return path("orgs", organization, "registries", *rest)


def _page(organization: str, per_page: int, page: str | None) -> Operation[Page[Registry]]:
    def read(response: Response) -> Page[Registry]:
        after = next_page(response.headers.get("link", ""))
        following = None if after is None else _page(organization, per_page, after)
        return Page(_each_registry(response), following)

    query = {"per_page": str(per_page), "page": page}
    return wire.get(_registries(organization), query, read)


def _each_registry(response: Response) -> tuple[Registry, ...]:
    return each(decode(response.body), Registry.read)


def _registry(response: Response) -> Registry:
    return Registry.read(Fields(decode(response.body)), response.headers.get("etag"))


def _if_match(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"If-Match": etag}


def _given(**fields: object) -> dict[str, object]:
    """A body of what is not None."""
    return {name: value for name, value in fields.items() if value is not None}
