"""The kinds of registry that a person chooses from: what to ask for, where to get it, and the
least privilege that is enough. The facts are those of docs/records.md and docs/exchange.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pullpass.domain.provider_rules import IDENTITY
from pullpass.domain.record import Record
from pullpass.domain.record_types import TYPE_RULES, RecordType


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of an option, and how it is shown."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class OptionField:
    """One of a type's `options` as a field of the form; with ``choices`` it is a selection."""

    name: str
    label: str
    hint: str
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class CredentialFields:
    """What a credential is called here. ``username`` None: it is ``fixed_username``, and not
    asked for. ``is_file``: the secret is the content of a file, of several lines.
    """

    username: str | None
    secret: str
    secret_hint: str = ""
    username_hint: str = ""
    fixed_username: str = ""
    is_file: bool = False
    has_end: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """``mark`` stands for it in lists. ``registry`` fills the field in, ``registry_hint`` says
    what belongs there. ``options`` are asked for, ``more`` are there for who needs them.
    """

    slug: str
    title: str
    mark: str
    sentence: str
    type: RecordType
    registry: str
    registry_hint: str
    credential: CredentialFields | None
    where: tuple[str, ...]
    least: str
    options: tuple[OptionField, ...] = ()
    more: tuple[OptionField, ...] = ()

    @property
    def may_be_ambient(self) -> bool:
        """Whether the server's own identity can stand in for a credential."""
        return IDENTITY in TYPE_RULES[self.type].options

    @property
    def exchanged(self) -> bool:
        return TYPE_RULES[self.type].exchanged


def _endpoint(name: str, label: str) -> OptionField:
    return OptionField(name, label, "Only where it is not the public one, such as a proxy.")


_SCOPES = (Choice("", "pull only"), Choice("push", "pull and push"))
_BASIC_HINT = "The host, and a project where the credential is for that alone."

KINDS: tuple[Kind, ...] = (
    Kind(
        "docker-hub",
        "Docker Hub",
        "DH",
        "Private images on docker.io, and a higher pull limit for public ones.",
        RecordType.BASIC,
        "docker.io",
        "docker.io for all of Docker Hub, or docker.io/acme for one organization.",
        CredentialFields(
            "Docker ID or organization",
            "Access token",
            username_hint="The account that the token belongs to: its name, no e-mail address.",
        ),
        (
            "On hub.docker.com open Account settings, Personal access tokens, and generate one.",
            "For an organization, use an organization access token instead, limited to its "
            "repositories, with the organization's name as the user name.",
        ),
        "The scope Read-only.",
    ),
    Kind(
        "github",
        "GitHub (ghcr.io)",
        "GH",
        "Packages on ghcr.io, with a personal access token (classic).",
        RecordType.BASIC,
        "ghcr.io/",
        "ghcr.io/ and the organization or user that the packages belong to.",
        CredentialFields(
            "GitHub user name",
            "Personal access token (classic)",
            username_hint="Best a machine user's, so that the token outlives people's accounts.",
        ),
        (
            "As the machine user open Settings, Developer settings, Personal access tokens, "
            "Tokens (classic), and generate one.",
            "Fine-grained tokens have no permission for packages, and installation tokens of a "
            "GitHub App log in but cannot pull.",
        ),
        "The scope read:packages alone.",
    ),
    Kind(
        "ecr",
        "Amazon ECR",
        "ECR",
        "Turns an access key, or the server's own role, into tokens of 12 hours.",
        RecordType.AMAZON_ECR,
        "",
        "Like 123456789012.dkr.ecr.eu-west-1.amazonaws.com, or *.dkr.ecr.*.amazonaws.com for all "
        "accounts and regions that the key may read.",
        CredentialFields(
            "Access key id",
            "Secret access key",
            username_hint="Begins with AKIA.",
            has_end=False,
        ),
        (
            "In the AWS console open IAM, Users, and create a user without console access.",
            "Attach the policy below, then create an access key for it.",
        ),
        "ecr:GetAuthorizationToken on *; ecr:BatchGetImage and ecr:GetDownloadUrlForLayer on the "
        "repositories.",
        (
            OptionField(
                "role_arn",
                "Role to assume",
                "The ARN of a role, also of another account. Leave it empty to use the key itself.",
            ),
            OptionField("external_id", "External id", "What the role asks for, where it does."),
        ),
        (
            OptionField("session_name", "Session name", "What CloudTrail shows."),
            _endpoint("endpoint", "Address of the ECR API"),
            _endpoint("sts_endpoint", "Address of STS"),
        ),
    ),
    Kind(
        "google",
        "Google Artifact Registry",
        "GAR",
        "Turns a service account's key, or the server's own identity, into tokens of an hour.",
        RecordType.GOOGLE_GCR,
        "",
        "Like europe-docker.pkg.dev/acme-prod, or gcr.io/acme-prod.",
        CredentialFields(
            None,
            "Service account key (JSON)",
            "The whole content of the key file, as JSON or in Base64.",
            is_file=True,
            has_end=False,
        ),
        (
            "In the Google Cloud console open IAM & Admin, Service Accounts, and create one.",
            "Give it the role below on the repositories, then add a key of type JSON.",
        ),
        "The role Artifact Registry Reader (roles/artifactregistry.reader) on the repositories.",
        (
            OptionField(
                "impersonate",
                "Service account to act as",
                "Its e-mail address. The key's account needs Service Account Token Creator on it.",
            ),
            OptionField("scope", "May be used to", "What the tokens allow.", _SCOPES),
        ),
        (
            _endpoint("token_endpoint", "Address of the token service"),
            _endpoint("iam_endpoint", "Address of the IAM credentials API"),
        ),
    ),
    Kind(
        "azure",
        "Azure Container Registry",
        "ACR",
        "Turns a service principal, or the server's own identity, into tokens of 3 hours.",
        RecordType.AZURE_ACR,
        "",
        "The login server, like acme.azurecr.io.",
        CredentialFields(
            "Application (client) id",
            "Client secret",
            "The secret's value, not its id.",
            "A GUID, from the registration's overview.",
            has_end=False,
        ),
        (
            "In the Azure portal open Microsoft Entra ID, App registrations, and add one.",
            "Under Certificates & secrets add a client secret, and on the registry, under Access "
            "control (IAM), assign the role below to the application.",
        ),
        "The role AcrPull on the registry.",
        (
            OptionField(
                "tenant_id",
                "Directory (tenant) id",
                "A GUID or a domain. Needed with a client secret.",
            ),
        ),
        (
            _endpoint("authority", "Address of Entra"),
            _endpoint("endpoint", "Address of the registry's token service"),
        ),
    ),
    Kind(
        "gitlab",
        "GitLab",
        "GL",
        "A deploy token of a project or group, for its container registry.",
        RecordType.BASIC,
        "registry.gitlab.com/",
        "The registry's host and the group or project, like registry.gitlab.com/acme.",
        CredentialFields(
            "Deploy token user name",
            "Deploy token",
            username_hint="Like gitlab+deploy-token-1; GitLab shows it beside the token.",
        ),
        (
            "In the project or group open Settings, Repository, Deploy tokens, and add one with "
            "an expiry date.",
        ),
        "The scope read_registry alone.",
    ),
    Kind(
        "gitlab-minted",
        "GitLab, tokens minted here",
        "GL",
        "Makes a deploy token by GitLab's API, replaces it in time and revokes the old one.",
        RecordType.GITLAB_DEPLOY_TOKEN,
        "registry.gitlab.com/",
        "The registry's host and the group or project, like registry.gitlab.com/acme.",
        CredentialFields(
            None,
            "API token",
            fixed_username="pullpass",
            has_end=False,
        ),
        ("In the project or group open Settings, Access tokens, and add one with the scope api.",),
        "The role Maintainer in the project, or Owner in the group, where tokens are minted.",
        (
            OptionField("endpoint", "GitLab's address", "Like https://gitlab.com."),
            OptionField("project", "Project", "Its id or path, like acme/shop/app; or a group."),
            OptionField("group", "Group", "Its id or path, like acme/shop; or a project."),
            OptionField("scope", "May be used to", "What the tokens allow.", _SCOPES),
        ),
        (OptionField("days", "Days that a token lives", "1 to 365; without, 7."),),
    ),
    Kind(
        "quay",
        "Quay",
        "QY",
        "A robot account on quay.io or a Quay of your own.",
        RecordType.BASIC,
        "quay.io/",
        "The host and the organization, like quay.io/acme.",
        CredentialFields("Robot account", "Robot token", username_hint="Like acme+puller."),
        (
            "In the organization open Robot accounts, create one, and copy its name and token.",
            "Then give it a permission on the repositories.",
        ),
        "The permission Read on the repositories.",
    ),
    Kind(
        "quay-federated",
        "Quay, federated robot",
        "QY",
        "Turns an OIDC token into short-lived tokens of a robot, without a stored password.",
        RecordType.QUAY_ROBOT,
        "quay.io/",
        "The host and the organization, like quay.io/acme.",
        CredentialFields(
            "Robot account", "OIDC token", "A JWT.", "Like acme+puller.", has_end=False
        ),
        (
            "In the organization open Robot accounts, and set up robot federation with the issuer "
            "and subject of the token.",
            "An OIDC token ends soon: mostly the server's own token is used.",
        ),
        "The permission Read on the repositories.",
        (
            OptionField(
                "robot",
                "Robot, with the server's own token",
                "Like acme+puller; only without an OIDC token above.",
            ),
        ),
        (_endpoint("endpoint", "Address of Quay"),),
    ),
    Kind(
        "harbor",
        "Harbor",
        "HB",
        "A robot account of a project in your Harbor.",
        RecordType.BASIC,
        "",
        "The host and the project, like harbor.example.com/team.",
        CredentialFields("Robot account", "Robot secret", username_hint="Like robot$team+pull."),
        ("In the project open Robot accounts, and add one with an expiry date.",),
        "Pull on Repository, in this project alone.",
    ),
    Kind(
        "other",
        "Any other registry",
        "···",
        "Whatever asks for a user name and a password, with its host and port.",
        RecordType.BASIC,
        "",
        "Like registry.example.com:5000, or with a project behind it. Without TLS: http://…",
        CredentialFields("User name", "Password or token"),
        ("Ask whoever runs the registry for an account of its own for this.",),
        "Read only.",
    ),
    Kind(
        "public",
        "No login",
        "PUB",
        "Says that there is nothing to log in with; can take a path out of a wider record.",
        RecordType.PUBLIC,
        "",
        "Like mirror.gcr.io, or docker.io/library.",
        None,
        (),
        "",
    ),
    Kind(
        "copied-secret",
        "Copied secret",
        "K8S",
        "A Kubernetes secret that your clusters have already; nothing is stored here.",
        RecordType.SECRET_REF,
        "",
        "The registry that the secret is for, like onsite.example.com.",
        None,
        ("Name the secret as namespace/name, for each cluster or for all of them (*).",),
        "The agent of each cluster may read that one secret.",
    ),
)
BY_SLUG: Mapping[str, Kind] = {kind.slug: kind for kind in KINDS}
# The hosts by which a `basic` record is recognized; of another, the kind is not known.
_BASIC_HOSTS: Mapping[str, str] = {
    "docker.io": "docker-hub",
    "ghcr.io": "github",
    "registry.gitlab.com": "gitlab",
    "quay.io": "quay",
}
_BY_TYPE: Mapping[RecordType, str] = {
    kind.type: kind.slug for kind in KINDS if kind.type is not RecordType.BASIC
}


def kind_of(record: Record) -> Kind:
    """The kind that a record is shown and changed as."""
    if record.type is RecordType.BASIC:
        return BY_SLUG[_BASIC_HOSTS.get(record.prefix.domain, "other")]
    return BY_SLUG[_BY_TYPE[record.type]]
