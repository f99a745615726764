"""Patterns: what one star covers, what two cover, and that none is slow."""

from __future__ import annotations

import pytest

from pullpass.domain.glob import matches

BRANCH = "repo:acme/app:ref:refs/heads/main"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("acme/app", "acme/app", True),
        ("acme/app", "acme/app2", False),
        ("acme/app", "xacme/app", False),
        ("acme/app", "Acme/App", False),
        ("", "", True),
        ("", "a", False),
        ("a", "", False),
        ("*", "", True),
        ("*", "app", True),
        ("*", "acme/app", False),
        ("*", "a:b", False),
        ("**", "", True),
        ("**", BRANCH, True),
        ("acme/*", "acme/app", True),
        ("acme/*", "acme/", True),
        ("acme/*", "acme", False),
        ("acme/*", "acme-evil/app", False),
        ("acme/*", "acme/app/deep", False),
        ("acme/**", "acme/app/deep", True),
        ("acme*", "acme-evil/app", False),
        ("team-*-prod", "team-a-prod", True),
        ("team-*-prod", "team-a-b-prod", True),
        ("team-*-prod", "team--prod", True),
        ("team-*-prod", "team-prod", False),
        ("*/*", "acme/app", True),
        ("**/*", "a/b/c", True),
        ("**/c", "a/b/c", True),
        ("*/c", "a/b/c", False),
        ("***", "a/b", True),
        ("repo:acme/*", BRANCH, False),
        ("repo:acme/*:**", BRANCH, True),
        ("repo:acme/*:ref:refs/heads/*", BRANCH, True),
        ("repo:acme/*:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/feature/x", False),
        # Nothing else means anything.
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        (r"a\*", "a*", False),
        ("a\nb", "a\nb", True),
        ("**", "a\nb", True),
    ],
)
def test_what_a_pattern_covers(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


def test_a_pattern_made_to_be_slow_has_an_answer() -> None:
    # By backtracking it would take longer than anybody lives.
    assert not matches("**a" * 100, "a" * 2000 + "b")
    assert matches("*a" * 100 + "**", "a" * 2000 + "b")
    # And by a look at each place of the pattern for each letter, minutes.
    assert matches("*a" * 20_000, "a" * 20_000)
    assert not matches("*a" * 20_000, "a" * 20_000 + "b")
