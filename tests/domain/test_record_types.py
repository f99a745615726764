"""What each exchanged type asks of its host, its credential and its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pullpass.domain import draft as drafts
from pullpass.domain.errors import InvalidFields

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
AWS_KEY = {"username": "AKIAIOSFODNN7EXAMPLE", "password": "wJalrXUtnFEMI/K7MDENG+bPx"}

AMAZON: dict[str, Any] = {
    "id": "acme-ecr",
    "registry": ECR,
    "type": "amazon_ecr",
    "creds": AWS_KEY,
    "options": {"role_arn": "arn:aws:iam::123456789012:role/puller"},
}
AZURE: dict[str, Any] = {
    "id": "acme-acr",
    "registry": "acme.azurecr.io",
    "type": "azure_acr",
    "creds": {"username": "1fec8e78-bce4-4aaf-ab1b-5451cc387264", "password": "a~secret"},
    "options": {"tenant_id": TENANT},
}
QUAY: dict[str, Any] = {
    "id": "acme-quay",
    "registry": "quay.io/acme",
    "type": "quay_robot",
    "creds": {"username": "acme+puller", "password": JWT},
    "options": {},
}
GITLAB: dict[str, Any] = {
    "id": "acme-gitlab",
    "registry": "registry.gitlab.com/acme",
    "type": "gitlab_deploy_token",
    "creds": {"username": "bot", "password": "glpat-Abc_1-23"},
    "options": {"endpoint": "https://gitlab.com", "project": "acme/shop"},
}
GOOGLE: dict[str, Any] = {
    "id": "acme-gar",
    "registry": "europe-docker.pkg.dev/acme",
    "type": "google_gcr",
    "options": {"identity": "ambient"},
}
EXCHANGED = {body["type"]: body for body in (AMAZON, AZURE, QUAY, GITLAB, GOOGLE)}


def problems_of(body: Mapping[str, object]) -> dict[str, str]:
    """Every invalid field of ``body`` with what is wrong."""
    with pytest.raises(InvalidFields) as caught:
        drafts.parse(body)
    return {problem.field: problem.sentence() for problem in caught.value.problems}


def ambient(body: Mapping[str, Any], **options: str) -> dict[str, Any]:
    rest = {key: value for key, value in body.items() if key != "creds"}
    return {**rest, "options": {**body["options"], "identity": "ambient", **options}}


@pytest.mark.parametrize("body", EXCHANGED.values(), ids=list(EXCHANGED))
def test_the_examples_are_taken_with_their_options(body: dict[str, Any]) -> None:
    draft = drafts.parse(body)
    assert dict(draft.options or {}) == body["options"]


@pytest.mark.parametrize(
    ("body", "registry"),
    [
        (AMAZON, "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"),
        (AMAZON, "123456789012.dkr-ecr.eu-west-1.on.aws"),
        (AMAZON, "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team"),
        (AMAZON, "*.dkr.ecr.eu-west-1.amazonaws.com"),
        (AMAZON, "public.ecr.aws"),
        (AZURE, "acme-a1b2c3.azurecr.io"),
        (AZURE, "acme.westeurope.geo.azurecr.io"),
        (AZURE, "acme.azurecr.cn"),
        (AZURE, "acme.azurecr.us"),
        (GOOGLE, "gcr.io/acme"),
        (GOOGLE, "eu.gcr.io/acme"),
        (GOOGLE, "docker.europe-west1.rep.pkg.dev/acme"),
        (QUAY, "quay.example:8443"),
        (GITLAB, "gitlab.example:5050/acme"),
    ],
)
def test_every_shape_of_host_is_taken(body: dict[str, Any], registry: str) -> None:
    assert drafts.parse({**body, "registry": registry}).registry == registry


@pytest.mark.parametrize(
    ("body", "registry", "says"),
    [
        (AMAZON, "ghcr.io/acme", "123456789012.dkr.ecr.<region>.amazonaws.com"),
        (AMAZON, f"{ECR}.evil.example", "public.ecr.aws"),
        (AMAZON, "12345.ecr.eu-west-1.amazonaws.com", "dkr"),
        (AZURE, "azurecr.io", "<name>.azurecr.io"),
        (AZURE, "acme.azurecr.io.evil.example", "<name>.azurecr.cn"),
        (GOOGLE, "docker.io/acme", "<location>-docker.pkg.dev"),
        (GOOGLE, "notgcr.io", "gcr.io"),
    ],
)
def test_another_providers_host_is_refused_with_the_shapes(
    body: dict[str, Any], registry: str, says: str
) -> None:
    problem = problems_of({**body, "registry": registry})["registry"]
    assert f"is not a host of type '{body['type']}'" in problem
    assert says in problem


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (AMAZON, {"role_arn": "arn:aws-us-gov:iam::123456789012:role/team/a.b/puller+x"}),
        (AMAZON, {"role_arn": "arn:aws-cn:iam::123456789012:role/" + "r" * 64}),
        (
            AMAZON,
            {
                "role_arn": "arn:aws:iam::123456789012:role/aws-service-role/x!y/puller",
                "external_id": "acme:prod/1",
                "session_name": "pullpass@acme",
                "sts_endpoint": "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
            },
        ),
        (AMAZON, {"endpoint": "http://127.0.0.1:5000"}),
        (AZURE, {"tenant_id": "acme.onmicrosoft.com"}),
        (AZURE, {"tenant_id": TENANT.upper(), "authority": "https://login.microsoftonline.us/"}),
        (GOOGLE, {"impersonate": "puller@acme-prod.iam.gserviceaccount.com", "scope": "push"}),
        (GOOGLE, {"impersonate": "puller@prod.acme.com.iam.gserviceaccount.com"}),
        (GOOGLE, {"impersonate": "1234-compute@developer.gserviceaccount.com"}),
        (QUAY, {"endpoint": "https://[fd00::1]:8443/quay"}),
        (GITLAB, {"endpoint": "https://git.example/gitlab", "project": "42"}),
        (GITLAB, {"endpoint": "https://git.example", "project": "A.b-c_d/e/f/g.h"}),
        (GITLAB, {"endpoint": "https://git.example", "project": ".github/x", "days": "365"}),
        (GITLAB, {"endpoint": "https://git.example", "group": "acme", "scope": "push"}),
        (GITLAB, {"endpoint": "https://git.example", "group": "acme/shop", "days": "1"}),
    ],
    ids=str,
)
def test_valid_options_are_taken(body: dict[str, Any], options: dict[str, str]) -> None:
    identity = {"identity": "ambient"} if body is GOOGLE else {}
    draft = drafts.parse({**body, "options": {**identity, **options}})
    assert dict(draft.options or {}) == {**identity, **options}


ROLE = AMAZON["options"]
TENANT_ONLY = AZURE["options"]
PLACE = {"endpoint": "https://gitlab.com"}


@pytest.mark.parametrize(
    ("body", "options", "field", "says"),
    [
        (AMAZON, {"region": "eu-west-1"}, "region", "one of identity, role_arn"),
        (AMAZON, {"role_arn": "puller"}, "role_arn", "arn:aws:iam::123456789012:role/puller"),
        (AMAZON, {"role_arn": "arn:aws:iam::1234:role/puller"}, "role_arn", "a role's ARN"),
        (AMAZON, {"role_arn": "arn:aws:iam::123456789012:user/me"}, "role_arn", "a role's ARN"),
        (AMAZON, {"role_arn": "arn:aws:iam::123456789012:role/a/"}, "role_arn", "a role's ARN"),
        (AMAZON, {"role_arn": "arn:aws:iam::123456789012:role/a b"}, "role_arn", "a role's ARN"),
        (AMAZON, {"external_id": "acme"}, "external_id", "options.role_arn"),
        (AMAZON, {"session_name": "acme"}, "session_name", "options.role_arn"),
        (AMAZON, {"sts_endpoint": "https://sts.example"}, "sts_endpoint", "options.role_arn"),
        (AMAZON, {**ROLE, "external_id": "x"}, "external_id", "2 to 1224"),
        (AMAZON, {**ROLE, "session_name": "a b"}, "session_name", "2 to 64"),
        (AMAZON, {"endpoint": "api.ecr.example"}, "endpoint", "https://"),
        (AMAZON, {"endpoint": "https://user:pw@ecr.example"}, "endpoint", "without query"),
        (AMAZON, {"endpoint": "https://ecr.example?x=1"}, "endpoint", "without query"),
        (AMAZON, {"endpoint": "https://ecr.example:0/"}, "endpoint", "https://"),
        (AMAZON, {"endpoint": "file:///etc/passwd"}, "endpoint", "https://"),
        (AMAZON, {"endpoint": "https://ecr.example\n"}, "endpoint", "https://"),
        (AMAZON, {"identity": "Ambient"}, "identity", "'ambient'"),
        (AMAZON, {"role_arn": 5}, "role_arn", "is a number"),
        (AZURE, {}, "tenant_id", "is missing; expected the Entra tenant's id"),
        (AZURE, {"tenant_id": "common"}, "tenant_id", "a GUID"),
        (AZURE, {"tenant_id": f"{TENANT}/../x"}, "tenant_id", "a GUID"),
        (AZURE, {**TENANT_ONLY, "authority": "login.example"}, "authority", "https://"),
        (AZURE, {**TENANT_ONLY, "client_secret": "x"}, "client_secret", "one of identity"),
        (GOOGLE, {"impersonate": "me@example.com"}, "impersonate", "iam.gserviceaccount.com"),
        (GOOGLE, {"scope": "admin"}, "scope", "'pull'"),
        (GOOGLE, {"token_endpoint": "metadata"}, "token_endpoint", "https://"),
        (QUAY, {"robot": "puller", "identity": "ambient"}, "robot", "acme+puller"),
        (QUAY, {"robot": "Acme+puller", "identity": "ambient"}, "robot", "acme+puller"),
        (QUAY, {"robot": "acme+puller+x", "identity": "ambient"}, "robot", "acme+puller"),
        (QUAY, {"robot": "acme+puller"}, "robot", "creds.username"),
        (QUAY, {"identity": "ambient"}, "robot", "is missing beside 'ambient'"),
        (QUAY, {"token_file": "/etc/passwd"}, "token_file", "one of identity, robot"),
        (GITLAB, {"project": "acme/shop"}, "endpoint", "is missing"),
        (GITLAB, PLACE, "project", "is missing, as is options.group; expected one of the two"),
        (GITLAB, {**PLACE, "project": "a/b", "group": "a"}, "project", "given beside"),
        (GITLAB, {**PLACE, "project": "shop"}, "project", "whole path"),
        (GITLAB, {**PLACE, "project": "0"}, "project", "id"),
        (GITLAB, {**PLACE, "project": "acme/../shop"}, "project", "whole path"),
        (GITLAB, {**PLACE, "project": "acme//shop"}, "project", "whole path"),
        (GITLAB, {**PLACE, "project": "/acme/shop"}, "project", "whole path"),
        (GITLAB, {**PLACE, "project": "acme/shop/"}, "project", "whole path"),
        (GITLAB, {**PLACE, "group": ".."}, "group", "whole path"),
        (GITLAB, {**PLACE, "group": "acme shop"}, "group", "whole path"),
        (GITLAB, {**PLACE, "group": "acme", "scope": "write"}, "scope", "'push'"),
        (GITLAB, {**PLACE, "group": "acme", "days": "0"}, "days", "'1' to '365'"),
        (GITLAB, {**PLACE, "group": "acme", "days": "366"}, "days", "'1' to '365'"),
        (GITLAB, {**PLACE, "group": "acme", "days": "7.5"}, "days", "'1' to '365'"),
        (GITLAB, {**PLACE, "group": "acme", "days": 7}, "days", "is a number"),
        (GITLAB, {**PLACE, "group": "acme", "identity": "ambient"}, "identity", "not an option"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_option_is_named_once_with_what_would_be_right(
    body: dict[str, Any], options: dict[str, object], field: str, says: str
) -> None:
    problems = problems_of({**body, "options": options})
    named = [name for name in problems if name.startswith("options")]
    assert named == [f"options.{field}"]
    assert says in problems[f"options.{field}"]


@pytest.mark.parametrize("body", [AMAZON, AZURE, QUAY], ids=lambda body: str(body["type"]))
def test_an_identity_is_either_stored_or_ambient(body: dict[str, Any]) -> None:
    robot = {"robot": "acme+puller"} if body is QUAY else {}
    own = ambient(body, **robot)
    assert drafts.parse(own).creds is None
    problems = problems_of({**own, "creds": body["creds"]})
    assert problems == {
        "creds": "creds is given beside options.identity; expected no creds, or no 'ambient'"
    }


@pytest.mark.parametrize("kind", ["amazon_ecr", "azure_acr", "quay_robot", "google_gcr"])
def test_a_forgotten_credential_is_no_ambient_identity(kind: str) -> None:
    body = EXCHANGED[kind]
    options = {name: value for name, value in body["options"].items() if name != "identity"}
    problems = problems_of({**body, "creds": None, "options": options})
    assert set(problems) == {"creds"}
    assert "'ambient' in options.identity" in problems["creds"]


def test_an_ambient_identity_of_azure_brings_its_tenant() -> None:
    own = {**ambient(AZURE), "options": {"identity": "ambient"}}
    assert dict(drafts.parse(own).options or {}) == {"identity": "ambient"}


def test_gitlab_has_no_ambient_identity_to_offer() -> None:
    problems = problems_of({**GITLAB, "creds": None})
    assert "an API token" in problems["creds"]
    assert "ambient" not in problems["creds"]


@pytest.mark.parametrize(
    ("body", "creds", "field", "says"),
    [
        (AMAZON, {"username": "me"}, "username", "access key id"),
        (AMAZON, {"password": "too short"}, "password", "secret access key"),
        (AZURE, {"username": "acme-puller"}, "username", "a GUID"),
        (QUAY, {"username": "puller"}, "username", "acme+puller"),
        (QUAY, {"username": "acme+pul:ler"}, "username", "acme+puller"),
        (QUAY, {"password": "static-robot-token"}, "password", "JWT"),
        (QUAY, {"password": f"{JWT}\n"}, "password", "JWT"),
        (GITLAB, {"username": "a:b"}, "username", "colon"),
        (GITLAB, {"password": "glpat-Abc\nX-Forged: yes"}, "password", "without spaces"),
        (GITLAB, {"password": "glpat-ü"}, "password", "ASCII"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_credential_of_the_wrong_kind_is_named_and_not_echoed(
    body: dict[str, Any], creds: dict[str, str], field: str, says: str
) -> None:
    problems = problems_of({**body, "creds": {**body["creds"], **creds}})
    assert set(problems) == {f"creds.{field}"}
    assert says in problems[f"creds.{field}"]
    if field == "password":
        assert creds["password"] not in json.dumps(problems, ensure_ascii=False)


def test_options_of_another_type_are_refused_when_the_type_changes() -> None:
    draft = drafts.parse(AZURE)
    record = draft.record(created_at=None, created_by=None)
    basic = drafts.patch(record, draft.creds, {"type": "basic", "options": None})
    assert basic.options is None
    with pytest.raises(InvalidFields, match=r"options\.tenant_id is not an option"):
        drafts.patch(record, draft.creds, {"type": "basic"})


def test_a_patch_moves_a_record_to_the_ambient_identity() -> None:
    draft = drafts.parse(AZURE)
    record = draft.record(created_at=None, created_by=None)
    options = {**AZURE["options"], "identity": "ambient"}
    moved = drafts.patch(record, draft.creds, {"creds": None, "options": options})
    assert (moved.creds, dict(moved.options or {})) == (None, options)
