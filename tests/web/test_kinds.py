from __future__ import annotations

import pytest

from pullpass.domain.draft import parse
from pullpass.domain.provider_rules import IDENTITY
from pullpass.domain.record_types import TYPE_RULES, RecordType
from pullpass.web.kinds import KINDS, Kind, kind_of


def test_every_type_can_be_chosen() -> None:
    assert {kind.type for kind in KINDS} == set(RecordType)
    assert len({kind.slug for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.slug)
def test_a_form_asks_for_every_option_of_its_type(kind: Kind) -> None:
    asked = [option.name for option in (*kind.options, *kind.more)]
    assert sorted(asked) == sorted(set(TYPE_RULES[kind.type].options) - {IDENTITY})
    for option in kind.options:
        rule = TYPE_RULES[kind.type].options[option.name]
        for choice in option.choices:
            assert not choice.value or rule.shape.fullmatch(choice.value)


@pytest.mark.parametrize(
    ("registry", "slug"),
    [
        ("docker.io/acme", "docker-hub"),
        ("https://index.docker.io/v1/", "docker-hub"),
        ("ghcr.io/acme", "github"),
        ("registry.gitlab.com/a", "gitlab"),
        ("quay.io", "quay"),
        ("registry.example.com:5000", "other"),
    ],
)
def test_a_record_is_shown_as_the_kind_that_its_host_tells(registry: str, slug: str) -> None:
    creds = {"username": "a", "password": "b"}
    draft = parse({"id": "abc", "registry": registry, "type": "basic", "creds": creds})
    assert kind_of(draft.record(created_at=None, created_by=None)).slug == slug
