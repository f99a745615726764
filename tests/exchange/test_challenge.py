"""Challenges, as registries write them and as RFC 9110 section 11.6.1 lets them."""

from __future__ import annotations

import pytest

from pullpass.exchange.challenge import Challenge, parse_challenges

BASIC = Challenge("basic", {"realm": "x"})


@pytest.mark.parametrize(
    ("values", "challenges"),
    [
        (['Basic realm="x"'], [BASIC]),
        (["basic REALM=x"], [BASIC]),
        (['Basic realm = "x"'], [BASIC]),
        ([' , Basic   realm="x" ,'], [BASIC]),
        (["Basic"], [Challenge("basic")]),
        ([], []),
        ([""], []),
        # Docker Hub's.
        (
            ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'],
            [
                Challenge(
                    "bearer",
                    {"realm": "https://auth.docker.io/token", "service": "registry.docker.io"},
                )
            ],
        ),
        # A comma and quotes within a value.
        (
            [r'Bearer realm="a\"b\\c, d", scope="repository:a/b:pull,push"'],
            [
                Challenge(
                    "bearer", {"realm": 'a"b\\c, d', "scope": "repository:a/b:pull,push"}
                )
            ],
        ),
        # Several, in one field and in two (Azure and Artifactory have both).
        (['Bearer realm="y",service=z, Basic realm="x"'], [
            Challenge("bearer", {"realm": "y", "service": "z"}), BASIC]),
        (["Negotiate", 'Basic realm="x"'], [Challenge("negotiate"), BASIC]),
        (["Negotiate, Basic realm=x"], [Challenge("negotiate"), BASIC]),
        (["Negotiate dG9rZW4/+=, Basic realm=x"], [Challenge("negotiate"), BASIC]),
        # By the grammar `realm=` is one bare word.
        (["Bearer realm="], [Challenge("bearer")]),
        (['Basic realm=""'], [Challenge("basic", {"realm": ""})]),
    ],
)  # fmt: skip
def test_a_challenge_is_read(values: list[str], challenges: list[Challenge]) -> None:
    assert parse_challenges(values) == challenges


@pytest.mark.parametrize(
    "value",
    [
        'Bearer realm="x',
        "Bearer =x",
        'realm="x"',
        "Bearer realm=https://x/token",
        'Bearer realm="x" service="y"',
        'Bearer realm="x", realm="y"',
        'Basic Bearer realm="x"',
        "Basic realm=x, dG9rZW4/",
        "@",
        'Bearer realm="x\\',
        "Basic\x00",
    ],
)
def test_a_malformed_challenge_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="at character"):
        parse_challenges([value])


def test_a_challenge_made_to_be_slow_has_an_answer() -> None:
    # Were each of the spaces tried as the end of the scheme, this would take hours.
    with pytest.raises(ValueError, match="at character"):
        parse_challenges(["Bearer" + " " * 2_000_000 + "("])
