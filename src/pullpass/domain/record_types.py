"""What each record type asks of a record: one table over the providers' rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pullpass.domain.credential import Credential
from pullpass.domain.provider_rules import (
    AMAZON_OPTIONS,
    AZURE_OPTIONS,
    GITLAB_OPTIONS,
    GOOGLE_OPTIONS,
    QUAY_OPTIONS,
    OptionRule,
    ValueProblem,
    check_amazon,
    check_azure,
    check_basic,
    check_gitlab,
    check_google,
    check_quay,
    relate_amazon,
    relate_azure,
    relate_gitlab,
    relate_google,
    relate_quay,
)
from pullpass.domain.registry_hosts import AMAZON_ECR, AZURE, GOOGLE, HostPattern


class RecordType(StrEnum):
    PUBLIC = "public"
    BASIC = "basic"
    GOOGLE_GCR = "google_gcr"
    AMAZON_ECR = "amazon_ecr"
    AZURE_ACR = "azure_acr"
    QUAY_ROBOT = "quay_robot"
    GITLAB_DEPLOY_TOKEN = "gitlab_deploy_token"  # noqa: S105
    SECRET_REF = "secret_ref"  # noqa: S105


class Need(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


def _check_nothing(_: Credential) -> list[ValueProblem]:
    return []


def _relate_nothing(_: Mapping[str, str]) -> list[ValueProblem]:
    return []


@dataclass(frozen=True, slots=True)
class TypeRules:
    """``credential`` says in words what `creds` holds; ``check`` looks into it; ``exchanged``:
    the stored credential is never handed out, but exchanged for a short-lived one. ``relate``
    looks at options, each valid for itself, together. ``hosts``: the shapes of host that the
    type is for; none means any.
    """

    creds: Need
    secrets: Need
    credential: str
    check: Callable[[Credential], list[ValueProblem]]
    exchanged: bool = False
    options: Mapping[str, OptionRule] = field(default_factory=dict)
    relate: Callable[[Mapping[str, str]], list[ValueProblem]] = _relate_nothing
    hosts: tuple[HostPattern, ...] = ()


TYPE_RULES: Mapping[RecordType, TypeRules] = {
    RecordType.PUBLIC: TypeRules(Need.NONE, Need.NONE, "no credentials", _check_nothing),
    RecordType.BASIC: TypeRules(
        Need.REQUIRED, Need.OPTIONAL, "a user name and a password", check_basic
    ),
    RecordType.GOOGLE_GCR: TypeRules(
        Need.REQUIRED,
        Need.OPTIONAL,
        "'_json_key' (or '_json_key_base64') and a service-account key",
        check_google,
        exchanged=True,
        options=GOOGLE_OPTIONS,
        relate=relate_google,
        hosts=GOOGLE,
    ),
    RecordType.AMAZON_ECR: TypeRules(
        Need.REQUIRED,
        Need.OPTIONAL,
        "an access key id and its secret access key",
        check_amazon,
        exchanged=True,
        options=AMAZON_OPTIONS,
        relate=relate_amazon,
        hosts=AMAZON_ECR,
    ),
    RecordType.AZURE_ACR: TypeRules(
        Need.REQUIRED,
        Need.OPTIONAL,
        "a service principal's client id and client secret",
        check_azure,
        exchanged=True,
        options=AZURE_OPTIONS,
        relate=relate_azure,
        hosts=AZURE,
    ),
    RecordType.QUAY_ROBOT: TypeRules(
        Need.REQUIRED,
        Need.OPTIONAL,
        "a federated robot's name and an OIDC token for it",
        check_quay,
        exchanged=True,
        options=QUAY_OPTIONS,
        relate=relate_quay,
    ),
    RecordType.GITLAB_DEPLOY_TOKEN: TypeRules(
        Need.REQUIRED,
        Need.OPTIONAL,
        "any user name and an API token that may manage deploy tokens",
        check_gitlab,
        exchanged=True,
        options=GITLAB_OPTIONS,
        relate=relate_gitlab,
    ),
    RecordType.SECRET_REF: TypeRules(
        Need.NONE, Need.REQUIRED, "no credentials here, but 'secrets'", _check_nothing
    ),
}
