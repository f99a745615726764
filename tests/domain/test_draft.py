"""What a record may be, and what is said of one that may not."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from pullpass.domain import draft as drafts
from pullpass.domain.credential import Credential
from pullpass.domain.errors import InvalidFields
from pullpass.domain.record import Record, SecretReference
from tests.parts.google import private_key_pem

BASIC = {
    "id": "acme-ghcr",
    "registry": "ghcr.io/acme",
    "type": "basic",
    "creds": {"username": "bot", "password": "pw"},
}
KEY = {
    "type": "service_account",
    "client_email": "puller@acme.iam.gserviceaccount.com",
    "private_key": private_key_pem(),
    "token_uri": "https://oauth2.googleapis.com/token",
}
SECRET_REF = {
    "id": "copied",
    "registry": "registry.example.com",
    "type": "secret_ref",
    "secrets": {"*": {"namespace": "shared", "secret": "regcred"}},
}


def fields_of(body: Mapping[str, object]) -> dict[str, str]:
    """Every invalid field of ``body`` with what is wrong."""
    with pytest.raises(InvalidFields) as caught:
        drafts.parse(body)
    return {problem.field: problem.sentence() for problem in caught.value.problems}


@pytest.mark.parametrize(
    "body",
    [
        BASIC,
        {"id": "hub", "registry": "docker.io", "type": "public"},
        SECRET_REF,
        {**BASIC, "secrets": SECRET_REF["secrets"]},
        {
            "id": "ecr",
            "registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "type": "amazon_ecr",
            "creds": {"username": "AKIAIOSFODNN7EXAMPLE", "password": "wJalrXUtnFEMI/K7MDENG+bPx"},
        },
        {
            "id": "gar",
            "registry": "europe-docker.pkg.dev/acme",
            "type": "google_gcr",
            "creds": {"username": "_json_key", "password": json.dumps(KEY)},
        },
        {
            "id": "gcr",
            "registry": "gcr.io/acme",
            "type": "google_gcr",
            "creds": {
                "username": "_json_key_base64",
                "password": base64.b64encode(json.dumps(KEY).encode()).decode(),
            },
        },
        {**BASIC, "creds": {**BASIC["creds"], "expires": None}},  # type: ignore[dict-item]
        {**BASIC, "created_at": "2020-06-22T09:37:23.523Z", "created_by": "somebody"},
    ],
    ids=lambda body: f"{body['type']}-{body['id']}",
)
def test_valid_records_are_taken(body: dict[str, Any]) -> None:
    draft = drafts.parse(body)
    assert (draft.id, draft.registry, draft.type) == (body["id"], body["registry"], body["type"])
    assert draft.enable_ci is False


def test_registry_comes_back_as_written_and_is_matched_normalized() -> None:
    draft = drafts.parse({**BASIC, "registry": "https://GHCR.io/acme/"})
    assert draft.registry == "https://GHCR.io/acme/"
    assert str(draft.prefix) == "ghcr.io/acme"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"id": "Acme"}, "id", "lower-case"),
        ({"id": "ab"}, "id", "3 to 100"),
        ({"id": "a" * 101}, "id", "3 to 100"),
        ({"id": "acme-"}, "id", "hyphen"),
        ({"id": "acme\n"}, "id", "lower-case"),
        ({"id": 5}, "id", "is a number"),
        ({"id": None}, "id", "is missing"),
        ({"registry": "ghcr.io/ac me"}, "registry", "expected"),
        ({"registry": ""}, "registry", "expected"),
        ({"registry": "https://user:hunter2@ghcr.io"}, "registry", "expected"),
        ({"registry": "team/app"}, "registry", "docker.io/team"),
        ({"registry": ["ghcr.io"]}, "registry", "is a list"),
        ({"type": "vero"}, "type", "amazon_ecr"),
        ({"type": "Basic"}, "type", "not supported"),
        ({"enable_ci": "yes"}, "enable_ci", "true or false"),
        ({"enable_ci": 1}, "enable_ci", "true or false"),
        ({"creds": None}, "creds", "is missing for type 'basic'"),
        ({"creds": "bot:pw"}, "creds", "an object with username and password"),
        ({"creds": {"username": "bot"}}, "creds.password", "is missing"),
        ({"creds": {"username": "", "password": "pw"}}, "creds.username", "1 to 1024"),
        ({"creds": {"username": "a:b", "password": "pw"}}, "creds.username", "colon"),
        ({"creds": {"username": "bot", "password": 5}}, "creds.password", "is a number"),
        ({"creds": {"username": "bot", "password": "p" * 65537}}, "creds.password", "65537"),
        ({"creds": {**BASIC["creds"], "expires": "tomorrow"}}, "creds.expires", "UTC time"),  # type: ignore[dict-item]
        ({"creds": {**BASIC["creds"], "expires": "2030-02-30T00:00:00Z"}}, "creds.expires", "UTC"),  # type: ignore[dict-item]
        ({"creds": {**BASIC["creds"], "token": "x"}}, "creds.token", "not a known field"),  # type: ignore[dict-item]
        ({"enabled": True}, "enabled", "one of id, registry, type"),
        ({"options": {"role": "x"}}, "options.role", "not an option"),
        ({"options": []}, "options", "an object"),
        ({"type": "public"}, "creds", "is given for type 'public'"),
        ({"type": "google_gcr"}, "creds.username", "_json_key"),
        ({"type": "amazon_ecr"}, "creds.username", "access key id"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_invalid_field_is_named_with_what_would_be_right(
    change: dict[str, object], field: str, says: str
) -> None:
    problems = fields_of({**BASIC, **change})
    assert field in problems
    assert says in problems[field]


@pytest.mark.parametrize(
    ("secrets", "field", "says"),
    [
        (None, "secrets", "is missing"),
        ({}, "secrets", "at least one cluster"),
        ([], "secrets", "an object"),
        ({"not a cluster": {"namespace": "a", "secret": "b"}}, "secrets.not a cluster", "cluster"),
        ({"*": "regcred"}, "secrets.*", "namespace and secret"),
        ({"*": {"namespace": "a"}}, "secrets.*.secret", "is missing"),
        ({"*": {"namespace": "Dev", "secret": "b"}}, "secrets.*.namespace", "RFC 1123 label"),
        ({"*": {"namespace": "a.b", "secret": "b"}}, "secrets.*.namespace", "RFC 1123 label"),
        ({"*": {"namespace": "a", "secret": "b_c"}}, "secrets.*.secret", "subdomain"),
        ({"*": {"namespace": "a", "secret": "b" * 254}}, "secrets.*.secret", "subdomain"),
        ({"*": {"namespace": "a", "secret": "b", "key": "c"}}, "secrets.*.key", "not a known"),
    ],
)
def test_secret_references_are_kubernetes_names(secrets: object, field: str, says: str) -> None:
    problems = fields_of({**SECRET_REF, "secrets": secrets})
    assert says in problems[field]


def test_public_takes_neither_creds_nor_secrets() -> None:
    problems = fields_of({**BASIC, "type": "public", "secrets": SECRET_REF["secrets"]})
    assert set(problems) == {"creds", "secrets"}


def test_every_invalid_field_is_listed_at_once() -> None:
    body = {"id": "?", "registry": "a b", "type": "?", "enable_ci": 3, "creds": 4, "secrets": 5}
    assert set(fields_of({**body, "extra": 6})) == {*body, "extra"}


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("hunter2", "is not JSON"),
        ("[" * 60_000, "is not JSON"),
        ("[]", "service_account"),
        (json.dumps({**KEY, "type": "authorized_user"}), "service_account"),
        (json.dumps({"type": "service_account", "client_email": "a@b"}), "private_key, token_uri"),
        (json.dumps({**KEY, "private_key": ""}), "lacks private_key"),
    ],
    ids=["text", "deep", "list", "other key", "two fields missing", "empty field"],
)
def test_a_google_key_is_looked_into_and_never_echoed(password: str, says: str) -> None:
    creds = {"username": "_json_key", "password": password}
    problems = fields_of({**BASIC, "type": "google_gcr", "creds": creds})
    assert says in problems["creds.password"]
    assert password not in problems["creds.password"]


def test_no_error_echoes_a_password() -> None:
    canary = "canary-3b9f"
    for kind in ("public", "secret_ref", "google_gcr", "amazon_ecr", "vero"):
        creds = {"username": "bot", "password": canary, "expires": "never"}
        assert canary not in str(fields_of({**BASIC, "type": kind, "creds": creds}))
    assert canary not in str(fields_of({**BASIC, "creds": canary}))
    assert canary not in str(fields_of({**BASIC, "registry": f"https://bot:{canary}@ghcr.io"}))


def existing(body: Mapping[str, object]) -> tuple[Record, Credential | None]:
    draft = drafts.parse(body)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return draft.record(created_at=created, created_by="somebody", version=7), draft.creds


def test_patch_keeps_what_is_absent_and_replaces_what_is_given() -> None:
    record, creds = existing({**BASIC, "enable_ci": True, "secrets": SECRET_REF["secrets"]})
    other = {"cluster-A": {"namespace": "prod", "secret": "pull"}}
    changed = drafts.patch(record, creds, {"registry": "ghcr.io/other", "secrets": other})
    assert (changed.registry, changed.enable_ci, changed.creds) == ("ghcr.io/other", True, creds)
    assert changed.secrets == {"cluster-A": SecretReference("prod", "pull")}


def test_patch_null_clears() -> None:
    record, creds = existing({**BASIC, "enable_ci": True, "secrets": SECRET_REF["secrets"]})
    changed = drafts.patch(record, creds, {"type": "public", "creds": None, "secrets": None})
    assert (changed.type, changed.creds, changed.secrets) == ("public", None, None)
    assert drafts.patch(record, creds, {"enable_ci": None}).enable_ci is False


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"creds": None}, "creds"),
        ({"type": "public"}, "creds"),
        ({"type": "google_gcr"}, "creds.username"),
        ({"type": "secret_ref"}, "creds"),
        ({"id": "another"}, "id"),
        ({"registry": None}, "registry"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_patch_must_be_valid_as_a_whole(change: dict[str, object], field: str) -> None:
    record, creds = existing(BASIC)
    with pytest.raises(InvalidFields) as caught:
        drafts.patch(record, creds, change)
    assert field in {problem.field for problem in caught.value.problems}


def test_a_patch_with_the_same_id_is_taken() -> None:
    record, creds = existing(BASIC)
    assert drafts.patch(record, creds, {"id": "acme-ghcr"}).id == "acme-ghcr"


def test_a_clusters_own_secret_goes_before_the_one_for_all() -> None:
    record, _ = existing(
        {
            **SECRET_REF,
            "secrets": {
                "*": {"namespace": "shared", "secret": "all"},
                "prod": {"namespace": "shared", "secret": "own"},
            },
        }
    )
    assert record.secrets_for("prod") == {"prod": SecretReference("shared", "own")}
    assert record.secrets_for("dev") == {"*": SecretReference("shared", "all")}
