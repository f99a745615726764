"""Trust rules: which claims come under one, and which rules are none for a public issuer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pullpass.domain.identity import Membership, Role
from pullpass.domain.issuers import is_safe, issuer_problem, missing_pin
from pullpass.domain.trust import DEFAULT_LIFETIME, TrustRule, why_not

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
CLAIMS = {
    "iss": "https://issuer.example",
    "aud": "pullpass:acme",
    "sub": "repo:acme/app:ref:refs/heads/main",
    "repository": "acme/app",
    "groups": ["dev", "ops"],
    "run": 7,
    "protected": True,
    "nested": {"a": "b"},
    "nothing": None,
}


def a_rule(**claims: tuple[str, ...]) -> TrustRule:
    return TrustRule(
        "github",
        "user",
        "https://issuer.example",
        "pullpass:acme",
        claims,
        Membership(Role.CI),
        DEFAULT_LIFETIME,
        datetime(2030, 1, 1, tzinfo=UTC),
        "ada",
    )


@pytest.mark.parametrize(
    ("rule", "changes", "why"),
    [
        ({"repository": ("acme/app",)}, {}, None),
        ({"repository": ("acme/other", "acme/*")}, {}, None),
        ({"repository": ("acme/app",), "ref": ("x",)}, {}, "no claim 'ref'"),
        ({"repository": ("acme/other",)}, {}, "'acme/app', not 'acme/other'"),
        ({"repository": ("acme/*",)}, {"repository": "acme/app/x"}, "'repository'"),
        ({"repository": ("acme/app",)}, {"repository": ["acme/app"]}, None),
        ({"groups": ("ops",)}, {}, None),
        ({"groups": ("o*", "x")}, {}, None),
        ({"groups": ("admin",)}, {}, "'groups'"),
        ({"groups": ("**",)}, {"groups": []}, "'groups'"),
        ({"run": ("7",)}, {}, None),
        ({"protected": ("true",)}, {}, None),
        ({"protected": ("1",)}, {}, "'protected'"),
        ({"nested": ("**",)}, {}, "'nested'"),
        ({"nothing": ("**",)}, {}, "'nothing'"),
        ({"sub": ("**",)}, {"sub": "x" * 5000}, "'sub'"),
        ({"sub": ("**",)}, {"iss": "https://issuer.example/"}, "issuer"),
        ({"sub": ("**",)}, {"iss": "https://ISSUER.example"}, "issuer"),
        ({"sub": ("**",)}, {"iss": None}, "issuer"),
        ({"sub": ("**",)}, {"aud": "pullpass:acme2"}, "audience"),
        ({"sub": ("**",)}, {"aud": []}, "audience"),
        ({"sub": ("**",)}, {"aud": ["other", "pullpass:acme"]}, None),
        ({"sub": ("**",)}, {"aud": ["other", "pullpass:acme"], "azp": "other"}, "issued to"),
        ({"sub": ("**",)}, {"aud": ["other", "pullpass:acme"], "azp": "pullpass:acme"}, None),
        ({"sub": ("**",)}, {"azp": "a client"}, None),
    ],
)
def test_what_comes_under_a_rule(
    rule: dict[str, tuple[str, ...]], changes: dict[str, Any], why: str | None
) -> None:
    found = why_not(a_rule(**rule), CLAIMS | changes)
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why in found


def test_a_reason_is_short_and_printable() -> None:
    claims = CLAIMS | {"repository": "\x1b[31m" + "\n" * 10_000}
    why = why_not(a_rule(repository=("x",)), claims)
    assert why is not None
    assert len(why) < 300
    assert why.isprintable()


@pytest.mark.parametrize(
    ("issuer", "claims", "pinned"),
    [
        (GITHUB, {"repository": ("acme/app",)}, True),
        (GITHUB, {"repository": ("acme/*",)}, True),
        (GITHUB, {"repository": ("acme/**",)}, True),
        (GITHUB, {"repository": ("acme*/app",)}, False),
        (GITHUB, {"repository": ("*/app",)}, False),
        (GITHUB, {"repository": ("**",)}, False),
        (GITHUB, {"repository": ("acme",)}, False),
        (GITHUB, {"repository": ("acme/app", "*/app")}, False),
        (GITHUB, {"repository_owner": ("acme",)}, True),
        (GITHUB, {"repository_owner": ("acme*",)}, False),
        (GITHUB, {"repository_owner_id": ("123",)}, True),
        (GITHUB, {"repository_owner_id": ("12*",)}, False),
        (GITHUB, {"sub": ("repo:acme/app:**",)}, True),
        (GITHUB, {"sub": ("repo:acme/*:ref:refs/heads/main",)}, True),
        (GITHUB, {"sub": ("repo:acme*:**",)}, False),
        (GITHUB, {"sub": ("repo:*/app:**",)}, False),
        (GITHUB, {"sub": ("**",)}, False),
        (GITHUB, {"sub": ("repository_owner:acme:**",)}, True),
        (GITHUB, {"sub": ("repository_owner:acme*",)}, False),
        (GITHUB, {"ref": ("refs/heads/main",)}, False),
        (GITHUB, {"job_workflow_ref": ("acme/flows/build.yml@main",)}, False),
        (GITHUB, {}, False),
        (GITHUB + "/", {"ref": ("x",)}, False),
        (GITHUB.upper(), {"ref": ("x",)}, False),
        (GITLAB, {"project_path": ("acme/app",)}, True),
        (GITLAB, {"namespace_path": ("acme",)}, True),
        (GITLAB, {"namespace_path": ("acme/**",)}, True),
        (GITLAB, {"namespace_path": ("acme*",)}, False),
        (GITLAB, {"sub": ("project_path:acme/*:**",)}, True),
        (GITLAB, {"sub": ("project_path:**",)}, False),
        (GITLAB, {"ref_protected": ("true",)}, False),
        ("https://accounts.google.com", {"email": ("ci@acme.example",)}, True),
        ("https://accounts.google.com", {"email": ("*@acme.example",)}, False),
        ("https://gitlab.acme.example", {"ref_protected": ("true",)}, True),
    ],
)
def test_a_rule_for_a_public_issuer_pins_what_is_yours(
    issuer: str, claims: dict[str, tuple[str, ...]], pinned: bool
) -> None:
    assert (missing_pin(issuer, claims) is None) is pinned


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        (GITHUB, True),
        ("https://issuer.example/tenant/v2.0", True),
        ("https://issuer.example:8443/", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1:8080/realms/acme", True),
        ("http://[::1]:8080", True),
        ("http://10.1.2.3", True),
        ("http://8.8.8.8", False),
        ("http://issuer.example", False),
        ("http://localhost.example", False),
        ("ftp://issuer.example", False),
        ("issuer.example", False),
        ("https://", False),
        ("https://issuer.example?x=1", False),
        ("https://issuer.example/#x", False),
        ("https://user@issuer.example", False),
        ("https://issuer.example:0", False),
        ("https://issuer.example:port", False),
        ("https://[issuer", False),
        ("https://issuer.example/ x", False),
        ("https://issuer.éxample", False),
        ("https://issuer.example/" + "x" * 500, False),
    ],
)
def test_what_can_be_an_issuer(url: str, taken: bool) -> None:
    assert (issuer_problem(url) is None) is taken


def test_keys_come_over_tls_or_from_a_private_address() -> None:
    assert is_safe("https://issuer.example/keys?p=1")
    assert not is_safe("http://issuer.example/keys")
    assert not is_safe("http://[issuer/keys")
    assert not is_safe("file:///etc/passwd")
