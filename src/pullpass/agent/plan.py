"""What to write into one namespace: pure, from what should be there and what is.

The order of the writes matters: a secret comes before it is attached, and is detached before it
goes, so that no pod is ever created with the name of a secret that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Literal

from pullpass.agent.content import Content
from pullpass.agent.marks import secret_name

Attach = Literal["default", "all", "none"]


@dataclass(frozen=True, slots=True)
class SecretState:
    """A secret of the agent's in the cluster; ``digest`` is of what it wrote there."""

    record_id: str
    type: str
    digest: str


@dataclass(frozen=True, slots=True)
class AccountState:
    """A service account: its ``imagePullSecrets``, and which of them the agent has added."""

    version: str
    pull_secrets: tuple[str, ...]
    attached: frozenset[str]


@dataclass(frozen=True, slots=True)
class Observed:
    """One namespace, as the cluster has it."""

    name: str
    secrets: Mapping[str, SecretState] = field(default_factory=dict)
    accounts: Mapping[str, AccountState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One namespace, as it should be.

    ``needed`` are the ids of the records whose secrets it gets. ``known`` are those of all records
    that give a secret in this cluster; ``contents`` has the secrets of those whose credential could
    be had. A secret of a record that is not known goes at once, one that is not needed after a time
    of grace, and one without content stays as it is.
    """

    needed: Set[str]
    known: Set[str]
    contents: Mapping[str, Content]
    attach: Attach = "default"


@dataclass(frozen=True, slots=True)
class ApplySecret:
    """``replace``: the type, which cannot be changed, is another one. ``exists``: it is there,
    and the agent's.
    """

    name: str
    content: Content
    exists: bool
    replace: bool = False


@dataclass(frozen=True, slots=True)
class SetPullSecrets:
    """Give an account these ``imagePullSecrets``, if it has not changed since ``version``."""

    account: str
    version: str
    pull_secrets: tuple[str, ...]
    attached: frozenset[str]


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    name: str
    record_id: str


Write = ApplySecret | SetPullSecrets | DeleteSecret


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes, in order; ``unneeded`` are secrets in their time of grace."""

    writes: tuple[Write, ...]
    unneeded: frozenset[str]


def plan(observed: Observed, wanted: Wanted, expired: Set[str] = frozenset()) -> Plan:
    """The way from ``observed`` to ``wanted``.

    ``expired`` are the names of secrets whose time of grace is over.
    """
    applies = [
        apply
        for record_id in sorted(wanted.needed & wanted.known)
        if (apply := _apply(observed, wanted.contents.get(record_id)))
    ]
    going, unneeded = [], set()
    for name, state in sorted(observed.secrets.items()):
        if state.record_id not in wanted.known or name in expired:
            if state.record_id not in wanted.needed & wanted.known:
                going.append(DeleteSecret(name, state.record_id))
        elif state.record_id not in wanted.needed:
            unneeded.add(name)
    gone = {delete.name for delete in going}
    there = {*observed.secrets, *(apply.name for apply in applies)} - gone
    needed = there & {secret_name(record_id) for record_id in wanted.needed}
    accounts = _attach(observed.accounts, wanted.attach, there, needed)
    return Plan((*applies, *accounts, *going), frozenset(unneeded))


def _apply(observed: Observed, content: Content | None) -> ApplySecret | None:
    if content is None:
        return None
    name = secret_name(content.record_id)
    state = observed.secrets.get(name)
    if state is not None and state.digest == content.digest:
        return None
    replace = state is not None and state.type != content.type
    return ApplySecret(name, content, exists=state is not None, replace=replace)


def _attach(
    accounts: Mapping[str, AccountState], attach: Attach, there: Set[str], needed: Set[str]
) -> Iterable[SetPullSecrets]:
    """``needed`` are entered; others that are ``there`` stay where they are entered."""
    for name, account in sorted(accounts.items()):
        served = attach == "all" or (attach == "default" and name == "default")
        names = there if served else frozenset[str]()
        kept = [
            each for each in account.pull_secrets if each in names or each not in account.attached
        ]
        added = sorted((names & needed) - set(kept))
        # What somebody else has entered stays theirs, also where it names a secret of the agent's.
        attached = (account.attached & set(kept) & names) | set(added)
        pull_secrets = (*kept, *added)
        if pull_secrets != account.pull_secrets or attached != account.attached:
            yield SetPullSecrets(name, account.version, pull_secrets, frozenset(attached))
