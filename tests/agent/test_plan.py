"""The plan, as a table: what is there, what should be, and the writes between them."""

from __future__ import annotations

import pytest
from lightkube.core.selector import build_selector

from pullpass.agent.content import Content
from pullpass.agent.kube import SettingsError, label_selector
from pullpass.agent.marks import label_value
from pullpass.agent.plan import (
    AccountState,
    ApplySecret,
    Attach,
    DeleteSecret,
    Observed,
    SecretState,
    SetPullSecrets,
    Wanted,
    Write,
    plan,
)

GHCR = Content("ghcr", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": "e30="})
RIGHT = SecretState("ghcr", GHCR.type, GHCR.digest)
STALE = SecretState("ghcr", GHCR.type, "another")
NAME = "regcred-ghcr"


def observed(
    secret: SecretState | None = None, pull_secrets: tuple[str, ...] = (), *attached: str
) -> Observed:
    account = AccountState("7", pull_secrets, frozenset(attached))
    return Observed("a", {NAME: secret} if secret else {}, {"default": account})


def wanted(
    *needed: str, known: bool = True, content: bool = True, attach: Attach = "default"
) -> Wanted:
    contents = {"ghcr": GHCR} if content else {}
    return Wanted(set(needed), {"ghcr"} if known else set(), contents, attach)


def attach(*names: str, attached: tuple[str, ...] = (NAME,)) -> SetPullSecrets:
    return SetPullSecrets("default", "7", names, frozenset(attached))


@pytest.mark.parametrize(
    ("there", "should", "writes"),
    [
        (observed(), wanted(), []),
        (observed(), wanted("ghcr"), [ApplySecret(NAME, GHCR, exists=False), attach(NAME)]),
        (observed(RIGHT, (NAME,), NAME), wanted("ghcr"), []),
        (observed(STALE, (NAME,), NAME), wanted("ghcr"), [ApplySecret(NAME, GHCR, exists=True)]),
        # Without its credential nothing is made, and nothing that is there is touched.
        (observed(), wanted("ghcr", content=False), []),
        (observed(STALE, (NAME,), NAME), wanted("ghcr", content=False), []),
        # Not needed, in its time of grace: it stays as it is, and is not attached anew.
        (observed(RIGHT, (NAME,), NAME), wanted(), []),
        (observed(RIGHT), wanted(), []),
        # The record is gone: detached first, then deleted.
        (
            observed(RIGHT, (NAME, "theirs"), NAME),
            wanted(known=False),
            [attach("theirs", attached=()), DeleteSecret(NAME, "ghcr")],
        ),
        # What others entered stays, and is not claimed.
        (observed(RIGHT, ("theirs",)), wanted("ghcr"), [attach("theirs", NAME)]),
        (observed(RIGHT, (NAME,)), wanted("ghcr"), []),
        (observed(RIGHT, (NAME,)), wanted(known=False), [DeleteSecret(NAME, "ghcr")]),
        # What was attached, and is no longer to be.
        (observed(RIGHT, (NAME,), NAME), wanted("ghcr", attach="none"), [attach(attached=())]),
        (
            observed(SecretState("ghcr", "Opaque", "another"), (NAME,), NAME),
            wanted("ghcr"),
            [ApplySecret(NAME, GHCR, exists=True, replace=True)],
        ),
    ],
)
def test_the_writes_are_those_that_are_needed(
    there: Observed, should: Wanted, writes: list[Write]
) -> None:
    assert list(plan(there, should).writes) == writes


def test_after_its_time_of_grace_a_secret_goes() -> None:
    there = observed(RIGHT, (NAME,), NAME)
    assert plan(there, wanted()).unneeded == {NAME}
    over = plan(there, wanted(), {NAME})
    assert list(over.writes) == [attach(attached=()), DeleteSecret(NAME, "ghcr")]
    # One that is needed again in the last moment stays.
    assert plan(there, wanted("ghcr"), {NAME}).writes == ()


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    assert plan(observed(RIGHT, (NAME,), NAME), wanted("ghcr")).writes == ()


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("", ""),
        ("team=a", "team=a"),
        ("team==a, env != prod", "team=a,env!=prod"),
        ("env in (dev, test),!legacy", "env in (dev,test),!legacy"),
        ("env notin (prod),pullpass.dev/x", "env notin (prod),pullpass.dev/x"),
    ],
)
def test_a_label_selector_is_read_as_kubectl_reads_it(text: str, selector: str) -> None:
    assert build_selector(label_selector(text)) == selector  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a in b", "a,,b", "=a", "a b", "!", "a=b=c", "a in (x"])
def test_what_is_no_label_selector_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="no label selector"):
        label_selector(text)


def test_a_label_holds_any_record_id() -> None:
    long = ["a" * 100, "a" * 99 + "b"]
    labels = [label_value(record_id) for record_id in (*long, "short")]
    assert labels[2] == "short"
    assert len(set(labels)) == 3
    assert all(len(label) <= 63 for label in labels)
