"""Signing in with the organization's OpenID provider: how it is set up, and whom it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pullpass.domain.credential import Secret
from pullpass.domain.identity import Role

# The role `cluster` is for one named cluster, which no group names.
GROUP_ROLES = tuple(role for role in Role if role is not Role.CLUSTER)
CALLBACK = "/ui/sign-in/callback"
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class GroupRole:
    """Who is in ``group`` has ``role`` in ``organization``."""

    organization: str
    role: Role
    group: str


@dataclass(frozen=True, slots=True)
class SignInProvider:
    """``label`` is what people call it; ``public_url`` where browsers reach this server, without a
    slash at its end; ``client_secret`` None for a public client. ``email_trusted``: its addresses
    are verified though it does not say so.

    Without ``group_roles`` people are invited: an administrator adds a user with their address.
    With them, groups alone say who may come in and as what.
    """

    issuer: str
    client_id: str
    public_url: str
    client_secret: Secret | None = field(default=None, repr=False)
    label: str = "single sign-on"
    scopes: str = "openid profile email"
    email_claim: str = "email"
    email_trusted: bool = False
    groups_claim: str = "groups"
    group_roles: Sequence[GroupRole] = ()

    @property
    def callback(self) -> str:
        """Where it sends people back to: never made of what a request says of itself."""
        return self.public_url + CALLBACK


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider has vouched for. ``email`` is there only where it is verified, and
    ``unverified_email`` only where it is not.
    """

    issuer: str
    subject: str
    name: str
    email: str | None
    unverified_email: str | None
    groups: frozenset[str]


def needed_claims(provider: SignInProvider) -> tuple[str, ...]:
    """What :func:`person_of` cannot do without."""
    if provider.group_roles:
        return (provider.groups_claim,)
    if provider.email_trusted:
        return (provider.email_claim,)
    return tuple(dict.fromkeys((provider.email_claim, "email", "email_verified")))


def person_of(provider: SignInProvider, claims: Mapping[str, object]) -> Person:
    """The person that verified ``claims`` are about (OpenID Connect Core 1.0, section 5.1)."""
    address = _text(claims.get(provider.email_claim))
    # It is said of the claim `email`: another one may be what people write into their profile.
    said = claims.get("email_verified") if address == _text(claims.get("email")) else None
    # Some providers write the truth value as a string; none of them says "true" for "false".
    verified = said in (True, "true") or (said is None and provider.email_trusted)
    subject = str(claims["sub"])
    names = (claims.get(name) for name in ("name", "preferred_username"))
    name = next((found for text in names if (found := _text(text))), address or subject)
    return Person(
        str(claims["iss"]),
        subject,
        name[:_LONGEST_NAME],
        address if address and verified else None,
        address if address and not verified else None,
        _groups(claims.get(provider.groups_claim)),
    )


def granted(group_roles: Sequence[GroupRole], groups: Collection[str]) -> dict[str, Role]:
    """By organization, the role of the first entry whose group is among ``groups``."""
    found: dict[str, Role] = {}
    for each in group_roles:
        if each.group in groups:
            found.setdefault(each.organization, each.role)
    return found


def _groups(value: object) -> frozenset[str]:
    """Providers send a list, or a string where there is one only."""
    items = value if isinstance(value, list) else [value]
    return frozenset(item for item in items if isinstance(item, str))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) and value.isprintable() else ""
