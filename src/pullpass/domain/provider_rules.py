"""What each provider asks of credentials and options: the checks that the record types name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pullpass.domain.credential import Credential
from pullpass.domain.service_account import NoServiceAccountKey, read_key


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """What is wrong with a field of `creds` or with an option; never holds any part of a secret."""

    field: str
    problem: str
    expected: str


@dataclass(frozen=True, slots=True)
class OptionRule:
    """What one of a type's `options` may be."""

    shape: re.Pattern[str]
    expected: str
    required: bool = False


# The option by which a record uses the server's own identity instead of a stored credential. It
# has to be said, so that a forgotten credential is an error and not another identity.
IDENTITY = "identity"
AMBIENT = "ambient"


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
_AWS_ACCESS_KEY_ID = re.compile(r"\w{16,128}", re.ASCII)
_AWS_SECRET_KEY = re.compile(r"[A-Za-z0-9/+=]{16,128}")
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# What a header field takes (RFC 9110 section 5.5); tokens have a prefix of the instance's choice.
_HEADER_TOKEN = re.compile(r"[!-~]{1,1024}")


def check_basic(creds: Credential) -> list[ValueProblem]:
    # RFC 7617 section 2: no colon in the user-id, no control characters in it.
    if ":" in creds.username or _CONTROL.search(creds.username):
        return [
            ValueProblem(
                "username",
                "holds a colon or a control character",
                "a user name as HTTP Basic authentication allows it (RFC 7617)",
            )
        ]
    return []


def check_amazon(creds: Credential) -> list[ValueProblem]:
    problems = []
    if not _AWS_ACCESS_KEY_ID.fullmatch(creds.username):
        problems.append(
            ValueProblem(
                "username",
                "is not an AWS access key id",
                "16 to 128 letters and digits, like AKIAIOSFODNN7EXAMPLE",
            )
        )
    if not _AWS_SECRET_KEY.fullmatch(creds.password.reveal()):
        problems.append(
            ValueProblem(
                "password",
                "is not an AWS secret access key",
                "the secret access key that belongs to the access key id",
            )
        )
    return problems


def check_google(creds: Credential) -> list[ValueProblem]:
    try:
        read_key(creds)
    except NoServiceAccountKey as error:
        return [ValueProblem(error.field, error.problem, error.expected)]
    return []


def check_azure(creds: Credential) -> list[ValueProblem]:
    if _GUID.fullmatch(creds.username):
        return []
    return [ValueProblem("username", "is not a client id", "the application (client) id, a GUID")]


def check_quay(creds: Credential) -> list[ValueProblem]:
    problems = []
    rule = QUAY_OPTIONS["robot"]
    if not rule.shape.fullmatch(creds.username):
        problems.append(ValueProblem("username", "is not a robot account", rule.expected))
    if not _JWT.fullmatch(creds.password.reveal()):
        problems.append(ValueProblem("password", "is not an OIDC token", "a JWT (RFC 7519)"))
    return problems


def check_gitlab(creds: Credential) -> list[ValueProblem]:
    problems = check_basic(creds)
    if not _HEADER_TOKEN.fullmatch(creds.password.reveal()):
        problems.append(
            ValueProblem(
                "password", "is not an API token", "ASCII characters without spaces, like glpat-…"
            )
        )
    return problems


_URL = OptionRule(
    re.compile(
        r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
        r"(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~/-]{0,200})?"
    ),
    "the address of the service, like https://host.example, without query or credentials",
)
_IDENTITY_RULE = OptionRule(re.compile(AMBIENT), f"'{AMBIENT}', or no such option")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_QUAY_NAME = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
# https://docs.gitlab.com/user/reserved_names/#rules-for-usernames-project-and-group-names-and-slugs
# (older instances have names with a dot first), and never `.` or `..`, which URLs resolve.
_GITLAB_NAME = r"(?!\.+(?:/|\Z))[A-Za-z0-9_.][A-Za-z0-9_.-]*"
_GITLAB_ID = r"[1-9][0-9]{0,18}"
_AZURE_TENANT = re.compile(rf"{_GUID.pattern}|(?=.{{1,253}}\Z)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")

AMAZON_OPTIONS = {
    IDENTITY: _IDENTITY_RULE,
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html; the path of a role:
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
    "role_arn": OptionRule(
        re.compile(
            r"arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role/(?:[!-~]{1,511}/)?[\w+=,.@-]{1,64}", re.ASCII
        ),
        "a role's ARN, like arn:aws:iam::123456789012:role/puller",
    ),
    "external_id": OptionRule(
        re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII), "2 to 1224 letters, digits and +=,.@:/-"
    ),
    "session_name": OptionRule(
        re.compile(r"[\w+=,.@-]{2,64}", re.ASCII), "2 to 64 letters, digits and +=,.@-"
    ),
    "endpoint": _URL,
    "sts_endpoint": _URL,
}
GOOGLE_OPTIONS = {
    IDENTITY: _IDENTITY_RULE,
    "impersonate": OptionRule(
        re.compile(r"[a-z0-9.-]{1,100}@[a-z0-9.-]{1,150}\.gserviceaccount\.com"),
        "a service account's e-mail address, like puller@project.iam.gserviceaccount.com",
    ),
    "scope": OptionRule(re.compile(r"pull|push"), "'pull' (the default) or 'push'"),
    "token_endpoint": _URL,
    "iam_endpoint": _URL,
}
AZURE_OPTIONS = {
    IDENTITY: _IDENTITY_RULE,
    "tenant_id": OptionRule(_AZURE_TENANT, "the Entra tenant's id (a GUID) or domain"),
    "authority": _URL,
    "endpoint": _URL,
}
QUAY_OPTIONS = {
    IDENTITY: _IDENTITY_RULE,
    "robot": OptionRule(
        # VALID_USERNAME_REGEX, for the namespace and the robot alike:
        # https://github.com/quay/quay/blob/master/util/validation.py
        re.compile(rf"(?=.{{5,511}}\Z){_QUAY_NAME}\+{_QUAY_NAME}"),
        "the robot's name, like acme+puller",
    ),
    "endpoint": _URL,
}
GITLAB_OPTIONS = {
    "endpoint": OptionRule(_URL.shape, _URL.expected, required=True),
    "project": OptionRule(
        re.compile(rf"{_GITLAB_ID}|(?=.{{3,1024}}\Z){_GITLAB_NAME}(?:/{_GITLAB_NAME})+"),
        "a project's id or its whole path, like acme/shop/app",
    ),
    "group": OptionRule(
        re.compile(rf"{_GITLAB_ID}|(?=.{{1,1024}}\Z){_GITLAB_NAME}(?:/{_GITLAB_NAME})*"),
        "a group's id or its whole path, like acme/shop",
    ),
    "scope": OptionRule(re.compile(r"pull|push"), "'pull' (the default) or 'push'"),
    "days": OptionRule(
        re.compile(r"[1-9][0-9]?|[12][0-9][0-9]|3[0-5][0-9]|36[0-5]"),
        "how many days a token lives, '1' to '365'",
    ),
}


def relate_amazon(options: Mapping[str, str]) -> list[ValueProblem]:
    """What goes with a role needs a role."""
    if "role_arn" in options:
        return []
    return [
        ValueProblem(name, "is given without a role", "options.role_arn beside it")
        for name in ("external_id", "session_name", "sts_endpoint")
        if name in options
    ]


def relate_google(options: Mapping[str, str]) -> list[ValueProblem]:
    """Each endpoint goes with what is asked there."""
    problems = []
    if "iam_endpoint" in options and "impersonate" not in options:
        problems.append(
            ValueProblem(
                "iam_endpoint",
                "is given without an account to impersonate",
                "options.impersonate beside it",
            )
        )
    if "token_endpoint" in options and options.get(IDENTITY) == AMBIENT:
        problems.append(
            ValueProblem(
                "token_endpoint",
                "is given beside an ambient identity",
                "a service-account key in creds, or no such option",
            )
        )
    return problems


def relate_azure(options: Mapping[str, str]) -> list[ValueProblem]:
    """A service principal belongs to a tenant; an ambient identity brings its own."""
    if "tenant_id" in options or options.get(IDENTITY) == AMBIENT:
        return []
    return [ValueProblem("tenant_id", "is missing", AZURE_OPTIONS["tenant_id"].expected)]


def relate_quay(options: Mapping[str, str]) -> list[ValueProblem]:
    """The robot is named in `creds`, or in the options where there are none."""
    ambient, expected = options.get(IDENTITY) == AMBIENT, QUAY_OPTIONS["robot"].expected
    if ambient and "robot" not in options:
        return [ValueProblem("robot", f"is missing beside '{AMBIENT}'", expected)]
    if not ambient and "robot" in options:
        instead = f"the robot in creds.username, or '{AMBIENT}' in options.{IDENTITY}"
        return [ValueProblem("robot", "is given without an ambient identity", instead)]
    return []


def relate_gitlab(options: Mapping[str, str]) -> list[ValueProblem]:
    """Deploy tokens belong to one project or one group."""
    if ("project" in options) != ("group" in options):
        return []
    problem = "is given beside" if "project" in options else "is missing, as is"
    return [ValueProblem("project", f"{problem} options.group", "one of the two")]
